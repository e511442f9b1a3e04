"""The reports of aiokafka's calls: messages sent, taken one by one or many at once, commits, administration.

Everything runs on one thread there, so what belongs to a call is known by the task's context. It decides nothing of
what is told: a client of ours would be known by its own configuration.
"""

from asyncio import CancelledError
from contextvars import ContextVar
from time import time_ns
from typing import Any, Final

from backwatch.collector.payload import message_forms
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka import observer as shared
from backwatch.collector.probes.families.kafka.observer import KEY, Error, Sending, Turn, status
from backwatch.collector.probes.families.kafka.session import Hub, learnt
from backwatch.collector.probes.toolkit.deferred_flush import settle
from backwatch.collector.probes.toolkit.messages import Gathered, asked, is_ours, size_of, size_of_headers
from backwatch.collector.probes.toolkit.sockets import descriptor
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, PRODUCER, Session

TAKEN: Final = "_backwatch_taken"
"""Where a consumer keeps what has been taken from it one by one."""
_OPTIONS: Final = (
    "bootstrap_servers", "client_id", "security_protocol", "ssl_context", "sasl_mechanism", "sasl_plain_username",
)  # fmt: skip
MAX_TOPICS: Final = 256
"""Topics of one consumer whose messages wait to be told together; then all are told at once."""


class _Batch(Sending):
    """Messages that the app put together itself."""

    __slots__ = ("count",)


class AiokafkaWatch(shared.KafkaWatch):
    """Follows aiokafka's clients."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.opener: ContextVar[Any] = ContextVar("backwatch_aiokafka_opener", default=None)
        """A weak reference to the client that is making a connection."""
        self.turn: ContextVar[Turn | None] = ContextVar("backwatch_aiokafka_turn", default=None)
        self.size: ContextVar[int] = ContextVar("backwatch_aiokafka_size", default=-1)
        """Bytes of the message that this task has serialised last."""
        self.inside: ContextVar[bool] = ContextVar("backwatch_aiokafka_inside", default=False)

    # --- whose client, which session ---

    def owner(self, client: Any) -> Any:
        """The client below a producer, a consumer or an administrator."""
        return client.client if hasattr(client, "client") else client._client

    def config(self, owner: Any) -> dict[str, Any]:
        """What the app asked for; the driver keeps it as attributes."""
        return {name: getattr(owner, f"_{name}", None) for name in _OPTIONS}

    def connection(self, owner: Any, node: Any) -> Any:
        """That for messages; groups have another one."""
        return owner._conns.get((node, 0))

    def learnt(self, hub: Hub, socket: Any, version: object = None) -> tuple[Session, int]:
        """Of an asyncio stream's writer."""
        below = socket.get_extra_info("socket")
        return learnt(hub, below, socket.get_extra_info("ssl_object"), version), descriptor(below)

    @never_breaks_the_host
    def told_cluster(self, cluster: Any, metadata: Any) -> None:
        """Brokers were announced."""
        hub: Hub | None = cluster.__dict__.get(KEY)
        if hub is not None and not hub.own:
            if not hub.server_id:
                hub.identified(getattr(metadata, "cluster_id", None))
            self.announced(cluster)

    # --- messages ---

    @never_breaks_the_host
    def began(self, client: Any) -> int:
        """When the app's call began; 0 where it is not to be told: it is our own, or lies inside another."""
        if self.recorder is None or self.inside.get() or self.hub(self.owner(client)).own:
            return 0
        return time_ns()

    @never_breaks_the_host
    def serialised(self, parts: Any) -> None:
        """Key and value are bytes now."""
        self.size.set(sum(map(size_of, parts)))

    @never_breaks_the_host
    def sent(self, client: Any, start_ns: int, topic: Any, headers: Any, future: Any, error: Error) -> None:
        """A message was handed over. It is told when it is acknowledged, or here where it was refused."""
        recorder, size = self.recorder, self.size.get()
        if recorder is None or is_ours(topic):
            return
        sending = Sending(self, "send", self.owner(client), start_ns, recorder.capture_caller())
        sending.kind, sending.asked = PRODUCER, asked("send", topic)
        if error is not None:
            self.ended(sending, error)
            return
        if size >= 0:
            sending.estimated = (size + size_of_headers(headers), -1)
        self._awaits(sending, future)

    @never_breaks_the_host
    def sent_batch(self, client: Any, start_ns: int, topic: Any, batch: Any, future: Any, error: Error) -> None:
        """Messages that the app put together were handed over at once: one call."""
        recorder = self.recorder
        if recorder is None or is_ours(topic):
            return
        sending = _Batch(self, "send", self.owner(client), start_ns, recorder.capture_caller())
        sending.kind, sending.asked, sending.count = PRODUCER, asked("send", topic), batch.record_count()
        sending.estimated = (batch.size(), -1)
        if error is not None:
            self.ended(sending, error)
        else:
            self._awaits(sending, future)

    def _awaits(self, sending: Sending, future: Any) -> None:
        @never_breaks_the_host
        def done(future: Any) -> None:
            # ``exception()`` would make asyncio believe that the app has seen it.
            error = CancelledError() if future.cancelled() else getattr(future, "_exception", None)
            if error is None and not future.cancelled():
                result = future.result()
                sending.partition = getattr(result, "topic_partition", None)
            self.ended(sending, error)

        future.add_done_callback(done)

    def rows_of(self, sending: Sending) -> int:
        """Messages of one call, where they are more than one."""
        return sending.count if isinstance(sending, _Batch) else -1

    @never_breaks_the_host
    def polling(self, consumer: Any) -> Turn | None:
        """A poll begins."""
        if self.recorder is None:
            return None
        hub = self.hub(self.owner(consumer))
        return None if hub.own else Turn(hub)

    @never_breaks_the_host
    def polled(self, consumer: Any, turn: Turn, found: Any, error: Error) -> None:
        """Many were taken at once."""
        if not isinstance(error, CancelledError):  # so ends waiting with a time limit
            self.told_polled(consumer, turn, found, error)

    @never_breaks_the_host
    def took(self, consumer: Any, turn: Turn, message: Any, error: Error) -> None:
        """One message was taken: told with others, or the app's own function could not read it."""
        if error is not None:
            self.polled(consumer, turn, None, error)
            return
        topic = message.topic
        if is_ours(topic):
            return
        taken: dict[str, _Taken] = consumer.__dict__.setdefault(TAKEN, {})
        known = taken.get(topic)
        if known is None:
            if len(taken) >= MAX_TOPICS:
                self.flush(consumer)
            known = taken[topic] = _Taken(self, self.owner(consumer), topic)
        if turn.unpacked:
            known.unpacked += tuple(turn.unpacked.values())
        known.forms |= message_forms.detect_form(message) or 0
        values = turn.samples.get(topic) or (message.value,)
        known.gathered.took(shared.size_of_record(message), values[-1], turn.start_ns)
        if self.recorder is not None:
            settle(known.gathered, self.recorder)

    @never_breaks_the_host
    def flush(self, consumer: Any) -> None:
        """What was taken one by one and not told yet, is."""
        for one in consumer.__dict__.pop(TAKEN, {}).values():
            one.gathered.flush()


class _Taken:
    """Messages of one topic that a consumer took one by one."""

    __slots__ = ("forms", "gathered", "owner", "unpacked", "watch")

    def __init__(self, watch: AiokafkaWatch, owner: Any, topic: str) -> None:
        self.watch = watch
        self.owner = owner
        self.unpacked: tuple[tuple[int, int], ...] = ()
        self.forms = 0
        self.gathered = Gathered(topic, self.tell)

    @never_breaks_the_host
    def tell(self, gathered: Gathered, error: Error) -> None:
        """All of them in one record."""
        recorder = self.watch.recorder
        if recorder is None:
            return
        statement, facts = asked("poll", gathered.name)
        facts += detect_formats(gathered.samples) + status(error) + shared.swollen(self.unpacked)
        facts += message_forms.to_facts(self.forms)
        self.unpacked, self.forms = (), 0
        recorder.record_call(
            self.watch.session(self.owner), "poll", statement=statement, start_ns=gathered.start_ns,
            estimated=(-1, gathered.bytes), rows_returned=gathered.count, error=error, facts=facts, kind=CONSUMER,
            caller=gathered.caller,
        )  # fmt: skip
