"""The reports of confluent-kafka's calls: messages, questions, administration, errors that the app is told of."""

from collections.abc import Mapping
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import MAX_MEMBERS, Facts, detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.confluent_kafka.session import Client, code_of, name_of
from backwatch.collector.probes.toolkit.messages import (
    NEVER,
    OURS,
    Gathered,
    asked,
    is_ours,
    names_in,
    size_of,
    size_of_headers,
    tell_what_is_due,
)
from backwatch.collector.redaction import messaging
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, PRODUCER, Caller, Session

KEY: Final = "_backwatch_confluent"
"""Where an administrator keeps what we know of it."""
PARTITION_EOF: Final = -191
CONNECTING: Final = frozenset((-195, -193, -187, -185, -181, -169))
"""Errors of connections: transport, resolving, all brokers down, timed out, TLS, authentication."""
MAX_TOPICS: Final = 256
Error = BaseException | str | None


class Delivery:
    """A message on its way: called with the broker's word on it, then the app's own callback is."""

    __slots__ = ("app", "caller", "client", "size", "start_ns", "topic", "watch")

    def __init__(self, watch: "ConfluentWatch", client: Client, app: Any, topic: Any, size: int) -> None:
        self.watch = watch
        self.client = client
        self.app = app
        self.topic = topic
        self.size = size
        self.start_ns = time_ns()
        self.caller: Caller | None = None

    def __call__(self, error: Any, message: Any) -> Any:
        """Report the delivery, then call the app's own callback."""
        self.watch.delivered(self, error)
        return self.app(error, message) if self.app is not None else None


class ConfluentWatch:
    """Follows confluent-kafka's clients."""

    def __init__(self, recorder: Recorder, *, names_by_default: bool) -> None:
        self.recorder: Recorder | None = recorder
        self.names_by_default = names_by_default
        self.clients: dict[int, Client] = {}
        """Of producers and consumers, by ``id``: they have no room for it. Each leaves when its object goes."""

    def client(self, owner: Any) -> Client | None:
        """Of an object of the driver's; ``None`` where nothing of it is told."""
        known = self.clients.get(id(owner)) or getattr(owner, KEY, None)
        return None if known is None or known.own or self.recorder is None else known

    def began(self, owner: Any) -> int:
        """When a call begins; 0 where it is not to be told."""
        return time_ns() if self.client(owner) is not None else 0

    @never_breaks_the_host
    def made(self, owner: Any, config: Mapping[Any, Any]) -> None:
        """A client is configured."""
        if self.recorder is not None:
            self.clients[id(owner)] = Client(config, names_by_default=self.names_by_default)

    @never_breaks_the_host
    def made_administrator(self, owner: Any, config: Mapping[Any, Any]) -> None:
        """An administrator is configured."""
        if self.recorder is not None:
            owner.__dict__[KEY] = Client(config, names_by_default=self.names_by_default)

    @never_breaks_the_host
    def troubled(self, key: int, error: Any) -> None:
        """Librdkafka tells the app of an error, of a connection mostly: only where the app listens."""
        client = self.clients.get(key)
        if client is not None and not client.own and error.code() in CONNECTING:
            self._tell(client.session, "connect", time_ns(), error=name_of(error), facts=code_of(error))

    def _tell(self, session: Session, operation: str, start_ns: int, **more: Any) -> None:
        if self.recorder is not None:
            self.recorder.record_call(session, operation, start_ns=start_ns, **more)

    # --- messages ---

    @never_breaks_the_host
    def sending(self, owner: Any, app: Any, parts: tuple[Any, Any, Any, Any]) -> Delivery | None:
        """A message is about to be handed over: its topic, value, key and headers."""
        client, recorder = self.client(owner), self.recorder
        if client is None or recorder is None or is_ours(parts[0]):
            return None
        size = size_of(parts[1]) + size_of(parts[2]) + size_of_headers(parts[3])
        delivery = Delivery(self, client, app or client.default_delivery, parts[0], size)
        if not client.only_errors:
            delivery.caller = recorder.capture_caller()
        return delivery

    @never_breaks_the_host
    def handed_over(self, delivery: Delivery, error: Error) -> None:
        """It was refused; or it is queued, and nobody will say more than that."""
        if error is not None or delivery.client.only_errors:
            self._sent(delivery, delivery.client.session, error, code_of(error))

    @never_breaks_the_host
    def delivered(self, delivery: Delivery, error: Any) -> None:
        """It was acknowledged, or given up."""
        client = delivery.client
        if client.only_errors:
            return  # told when it was handed over
        if error is None:
            self._sent(delivery, client.answered(), None, ())
        else:
            self._sent(delivery, client.session, name_of(error), code_of(error))

    def _sent(self, delivery: Delivery, session: Session, error: Error, code: Facts) -> None:
        statement, facts = asked("send", delivery.topic)
        self._tell(
            session, "send", delivery.start_ns, statement=statement, estimated=(delivery.size, -1), error=error,
            facts=facts + code, kind=PRODUCER, caller=delivery.caller,
        )  # fmt: skip

    @never_breaks_the_host
    def sent_batch(self, owner: Any, start_ns: int, topic: Any, messages: Any, count: Any, error: Error) -> None:
        """Many messages were handed over at once."""
        client = self.client(owner)
        if client is None or is_ours(topic):
            return
        statement, facts = asked("send", topic)
        size = 0
        for one in messages if isinstance(messages, list) else ():
            size += size_of(one.get("value")) + size_of(one.get("key")) + size_of_headers(one.get("headers"))
        self._tell(
            client.session, "send", start_ns, statement=statement, estimated=(size, -1), error=error,
            rows_affected=count if isinstance(count, int) else -1, facts=facts + code_of(error), kind=PRODUCER,
        )  # fmt: skip

    @never_breaks_the_host
    def took(self, owner: Any, start_ns: int, message: Any, error: Error) -> None:
        """One message was taken, or an error came in its place."""
        client = self.client(owner)
        if client is None:
            return
        if message is None and error is None:
            self._settle(client)
            return
        trouble = message.error() if message is not None else None
        if message is None or trouble is not None:
            self._failed(client, start_ns, error, trouble)
            return
        topic = message.topic()
        if is_ours(topic):
            return
        client.answered()
        known = client.taken.get(topic)
        if known is None:
            if len(client.taken) >= MAX_TOPICS:
                self.flush(owner)
            known = client.taken[topic] = Gathered(topic, self._teller(client))
        value = message.value()
        known.took(size_of_message(message, value), value, start_ns)
        if known.count:
            client.due = min(client.due, known.due)
        else:
            self._settle(client)  # others may be silent

    def _settle(self, client: Client) -> None:
        """What waits is told, where nothing more has come of it for a while."""
        if client.due != NEVER:
            client.due = tell_what_is_due(client.taken.values(), client.due)

    def _failed(self, client: Client, start_ns: int, error: Error, trouble: Any) -> None:
        code = code_of(error if error is not None else trouble)
        if (names.STATUS_CODE, str(PARTITION_EOF)) not in code:
            told = error if error is not None else name_of(trouble)
            self._tell(client.session, "poll", start_ns, statement="poll", error=told, facts=code, kind=CONSUMER)

    def _teller(self, client: Client) -> Any:
        @never_breaks_the_host
        def tell(gathered: Gathered, error: BaseException | None) -> None:
            one = gathered
            self._polled(client, one.name, one.start_ns, one.count, one.bytes, one.samples, error)

        return tell

    def _polled(
        self, client: Client, topic: str, start_ns: int, rows: int, size: int, values: list[Any], error: Error = None
    ) -> None:
        statement, facts = asked("poll", topic)
        self._tell(
            client.session, "poll", start_ns, statement=statement, estimated=(-1, size), rows_returned=rows,
            error=error, facts=facts + detect_formats(values), kind=CONSUMER,
        )  # fmt: skip

    @never_breaks_the_host
    def took_many(self, owner: Any, start_ns: int, messages: Any, error: Error) -> None:
        """Many were taken at once: one record per topic."""
        client = self.client(owner)
        if client is None:
            return
        if error is not None:
            self._failed(client, start_ns, error, None)
        elif not messages:
            self._settle(client)
        by_topic: dict[str, list[Any]] = {}
        for one in messages or ():
            if one.error() is None:
                by_topic.setdefault(one.topic(), []).append(one)
            else:
                self._failed(client, start_ns, None, one.error())
        for topic, found in by_topic.items():
            if not is_ours(topic):
                client.answered()
                values = [one.value() for one in found]
                size = sum(map(size_of_message, found, values))
                self._polled(client, topic, start_ns, len(found), size, values[:MAX_MEMBERS])

    @never_breaks_the_host
    def flush(self, owner: Any) -> None:
        """What was taken one by one and not told yet, is."""
        known = self.clients.get(id(owner))
        if known is not None:
            taken, known.taken = known.taken, {}
            for one in taken.values():
                one.flush()

    # --- everything else ---

    @never_breaks_the_host
    def done(self, owner: Any, start_ns: int, operation: str, argument: Any, result: Any, error: Error) -> None:
        """A call that waits for its answer."""
        client, found = self.client(owner), names_in(argument)
        if client is None or (found and OURS.issuperset(found)):
            return
        facts = code_of(error) if error is not None else client.learnt(result)
        if error is None and operation != "commit":  # that may be on its way still
            client.answered()
        statement = messaging.to_statement(operation, found)
        self._tell(client.session, operation, start_ns, statement=statement, error=error, facts=facts)

    @never_breaks_the_host
    def promised(self, owner: Any, start_ns: int, operation: str, argument: Any, result: Any) -> None:
        """An administrator's call: its answers come to futures, and it is told when all have."""
        client, recorder, found = self.client(owner), self.recorder, names_in(argument)
        if client is None or recorder is None or (found and OURS.issuperset(found)):
            return
        futures = list(result.values()) if isinstance(result, dict) else [result]
        if not all(hasattr(one, "add_done_callback") for one in futures) or not futures:
            self.done(owner, start_ns, operation, argument, result, None)
            return
        promise = Promise(self, client, operation, messaging.to_statement(operation, found), start_ns, len(futures))
        promise.caller = recorder.capture_caller()
        for one in futures:
            one.add_done_callback(promise)

    @never_breaks_the_host
    def kept(self, promise: "Promise", future: Any) -> None:
        """One answer has come."""
        promise.missing -= 1
        error = None if future.cancelled() else future.exception()
        promise.error = promise.error or error
        if error is None:
            promise.client.answered()
        if promise.missing == 0:
            self._tell(
                promise.client.session, promise.operation, promise.start_ns, statement=promise.statement,
                error=promise.error, facts=code_of(promise.error), caller=promise.caller,
            )  # fmt: skip


class Promise:
    """An administrator's call that is not answered yet."""

    __slots__ = ("caller", "client", "error", "missing", "operation", "start_ns", "statement", "watch")

    def __init__(
        self, watch: ConfluentWatch, client: Client, operation: str, statement: str, start_ns: int, missing: int
    ) -> None:
        self.watch = watch
        self.client = client
        self.operation = operation
        self.statement = statement
        self.start_ns = start_ns
        self.missing = missing
        self.error: BaseException | None = None
        self.caller: Caller | None = None

    def __call__(self, future: Any) -> None:
        """Report the result of an administrative request."""
        self.watch.kept(self, future)


def size_of_message(message: Any, value: Any) -> int:
    """Bytes of value, key and headers."""
    return size_of(value) + size_of(message.key()) + size_of_headers(message.headers())
