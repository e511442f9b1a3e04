"""What kombu's transports carry: messages over Redis, whose probe hands the commands over, and what arrives by any."""

import time
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts, detect_formats
from backwatch.collector.probes import Recorder, is_instrumented
from backwatch.collector.probes.families.amqp.state import Request
from backwatch.collector.probes.families.redis.claims import Carried, Claim
from backwatch.collector.probes.families.redis.claims import current as current_claim
from backwatch.collector.probes.kombu.pyamqp_calls import PyamqpWatch, size_of
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import amqp as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, Session

PUTS: Final = ("LPUSH", "PUBLISH")
"""Commands of Redis by which kombu hands a message over."""
_PICKLES: Final = frozenset(("application/x-python-serialize", "application/python-pickle"))


class Watch(PyamqpWatch):
    """The connections of one process."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._bare: dict[tuple[str, int, str], Session] = {}

    @never_breaks_the_host
    def putting(self) -> tuple[Claim, int] | None:
        """A message is about to be handed to Redis."""
        return (Claim(*PUTS), time.time_ns()) if self.active else None

    @never_breaks_the_host
    def put(
        self, channel: Any, message: Any, given: dict[str, Any], begun: tuple[Claim, int], error: BaseException | None
    ) -> None:
        """It was, or could not be."""
        claim, start_ns = begun
        exchange, key = given.get("exchange", ""), given.get("routing_key", "")
        headers = message.get("headers") if isinstance(message, dict) else None
        statement = with_task(f"PUBLISH {redact.redact_route(exchange, key)}", headers)
        destination = redact.redact_name(exchange) or redact.redact_name(key)
        facts: Facts = ((names.MESSAGING_DESTINATION, destination),) if destination else ()
        told = claim.carried
        if told is None and error is None and is_instrumented("redis"):
            return  # nobody was there to take it: a topic without a queue
        if told is None:
            session = self._session_of(channel)
            self.recorder.record_call(
                session, "PUBLISH", statement=statement, start_ns=start_ns, error=error, facts=facts, kind=PRODUCER,
            )  # fmt: skip
            return
        self.recorder.record_call(
            told.session, "PUBLISH", statement=statement, start_ns=told.start_ns, wire=told.wire,
            error=error or told.error, facts=(*told.facts, *facts), kind=PRODUCER,
        )  # fmt: skip

    @never_breaks_the_host
    def polling(self) -> Claim | None:
        """An answer of Redis is read, which may hold a message."""
        return Claim("BRPOP") if self.active else None

    @never_breaks_the_host
    def polled(self, claim: Claim) -> None:
        """It was read: where no message came of it, it is told as the command it was."""
        told, claim.carried = claim.carried, None
        if told is not None and told.operation:
            self.recorder.record_call(
                told.session, told.operation, statement=told.statement, start_ns=told.start_ns, wire=told.wire,
                rows_returned=told.rows, error=told.error, facts=told.facts, kind=CLIENT,
            )  # fmt: skip

    @never_breaks_the_host
    def arrived(self, consumer: Any, message: Any) -> None:
        """A message came in for a consumer, over whichever transport."""
        if not self.active or not hasattr(message, "body"):
            return  # a transport of the app's own may hand over what is no message of kombu's
        channel = getattr(message, "channel", None) or getattr(consumer, "channel", None)
        connection = getattr(channel, "connection", None)
        properties = getattr(message, "properties", None) or {}
        headers = getattr(message, "headers", None) or properties.get("application_headers")
        delivery = getattr(message, "delivery_info", None) or {}
        content_type = getattr(message, "content_type", None) or properties.get("content_type")
        facts = payload_facts(message.body, content_type)
        if self.is_amqp(connection):
            link = self.link_of(connection)
            tag = delivery.get("consumer_tag")
            queue = link.lane(getattr(channel, "channel_id", 0)).consumers.get(tag, "") if isinstance(tag, str) else ""
            size = size_of(message.body, properties)
            if delivery.get("redelivered"):
                facts = (*facts, *self.returning.facts(queue, message.body, headers))
            one = _delivery(queue or "?", queue, headers)
            self.tell(link, one, rows=1, facts=facts, kind=CONSUMER, estimated=(0, size))
        elif hasattr(channel, "_brpop_read"):
            self._arrived_by_redis(channel, redact.redact_name(delivery.get("routing_key")), headers, facts)

    def _arrived_by_redis(self, channel: Any, queue: str, headers: object, facts: Facts) -> None:
        claim = current_claim()
        told = claim.carried if claim is not None else None
        one = _delivery(queue, queue, headers)
        if claim is not None and told is not None and told.operation == "BRPOP":
            claim.carried = _DONE  # it is told here; and whatever the app does inside is another call
            self._delivered_by_redis(told, one, facts)
        elif not is_instrumented("redis"):
            destination: Facts = ((names.MESSAGING_DESTINATION, queue),) if queue else ()
            self.recorder.record_call(
                self._session_of(channel), one.operation, statement=one.statement, start_ns=one.start_ns,
                rows_returned=1, facts=(*facts, *destination), kind=CONSUMER,
            )  # fmt: skip

    def _delivered_by_redis(self, told: Carried, one: Request, facts: Facts) -> None:
        plain = tuple(fact for fact in told.facts if fact[0] not in (names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS))
        destination: Facts = ((names.MESSAGING_DESTINATION, one.destination),) if one.destination else ()
        self.recorder.record_call(
            told.session, one.operation, statement=one.statement, start_ns=told.start_ns, wire=told.wire,
            rows_returned=1, facts=(*plain, *(facts or told.facts[: len(told.facts) - len(plain)]), *destination),
            kind=CONSUMER,
        )  # fmt: skip

    def _session_of(self, channel: Any) -> Session:
        """Where Redis is asked for, as kombu was told; all that is known where Redis has no probe or no connection."""
        client = getattr(getattr(channel, "connection", None), "client", None)
        address, port = words(getattr(client, "hostname", ""), 255), getattr(client, "port", 0)
        key = (
            address,
            port if isinstance(port, int) else 0,
            words(getattr(client, "virtual_host", "")).strip("/") or "0",
        )
        known = self._bare.get(key)
        if known is None:
            if len(self._bare) > 100:
                self._bare.clear()
            known = self._bare[key] = Session(system="redis", address=key[0], port=key[1] or 6379, namespace=key[2])
        return known


_DONE: Final = Carried(Session(system="redis"), "", "", 0, None, -1, None, ())


def _delivery(shown: str, queue: str, headers: object) -> Request:
    return Request("DELIVER", with_task(f"DELIVER {shown}", headers), queue, time.time_ns(), 0)


def with_task(statement: str, headers: object) -> str:
    """A message's statement with the task that it asks for, where it is one of Celery's."""
    task = headers.get("task") if isinstance(headers, dict) else None
    return f"{statement} {redact.redact_name(task)}" if isinstance(task, str) and task else statement


def payload_facts(body: object, content_type: object) -> Facts:
    """What a message holds, by its bytes; where they do not say, by what its sender says it is: a pickle is loaded."""
    found = detect_formats(body)
    if not any(name == names.PAYLOAD_FORMAT for name, _ in found) and content_type in _PICKLES:
        return ((names.PAYLOAD_FORMAT, "pickle"), *found)
    return found
