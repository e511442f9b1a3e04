"""The call observer of kombu: messages over Redis, whose probe passes on the commands, and deliveries by any transport.

Only messages of apps are recorded here. py-amqp's part is :class:`.PyamqpCallObserver`.
"""

import time
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder, is_instrumented
from backwatch.collector.probes.families.amqp.requests import AmqpRequest, estimate_message_bytes
from backwatch.collector.probes.families.redis.claims import ClaimedCommand, RedisClaim, current_claim
from backwatch.collector.probes.kombu.messages import describe_publish, destination_facts, payload_facts, to_delivery
from backwatch.collector.probes.kombu.pyamqp_observer import PyamqpCallObserver
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import amqp as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, Facts, Session

MAX_CACHED_SESSIONS: Final = 100
_PAYLOAD_FACTS: Final = (names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS, names.PAYLOAD_GLOBALS)
_RECORDED: Final = ClaimedCommand(Session(system="redis"), "", "", 0, None, -1, None, ())
"""In place of a claimed command that has been recorded."""


class _RedisPublication(RedisClaim):
    """A claim on the command that carries a published message."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__("LPUSH", "PUBLISH")
        self.fields = fields
        self.start_ns = time.time_ns()


class KombuCallObserver:
    """The call observer of kombu's channels and consumers."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.pyamqp = PyamqpCallObserver(recorder)
        self.amqp = self.pyamqp.amqp
        self._requested_sessions: dict[tuple[str, int, str], Session] = {}

    def disable(self) -> None:
        """Stop recording: the probe is removed."""
        self.amqp.active = False

    # --- Redis ---

    @never_breaks_the_host
    def on_redis_publish(self, _channel: Any, args: Any, kwargs: Any) -> _RedisPublication | None:
        """Claim the command that carries a published message."""
        if not self.amqp.active:
            return None
        return _RedisPublication(dict(zip(("message", "exchange", "routing_key"), args, strict=False)) | kwargs)

    @never_breaks_the_host
    def on_redis_publish_end(self, channel: Any, claim: _RedisPublication, _result: Any, error: Error) -> None:
        """Record a published message with the facts of the command that carried it."""
        command, fields, message = claim.command, claim.fields, claim.fields.get("message")
        headers = message.get("headers") if isinstance(message, dict) else None
        statement = describe_publish(fields, headers)
        destination = redact.redact_name(fields.get("exchange", "")) or redact.redact_name(
            fields.get("routing_key", "")
        )
        facts = destination_facts(destination)
        if command is not None:
            self.recorder.record_call(
                command.session, "PUBLISH", statement=statement, start_ns=command.start_ns, wire=command.wire,
                error=error or command.error, facts=(*command.facts, *facts), kind=PRODUCER,
            )  # fmt: skip
        elif error is not None or not is_instrumented("redis"):  # else no command was sent: a topic without a queue
            self.recorder.record_call(
                self._requested_session(channel), "PUBLISH", statement=statement, start_ns=claim.start_ns, error=error,
                facts=facts, kind=PRODUCER,
            )  # fmt: skip

    @never_breaks_the_host
    def on_redis_read(self, _channel: Any, _args: Any, _kwargs: Any) -> RedisClaim | None:
        """Claim the command whose reply may hold a message."""
        return RedisClaim("BRPOP") if self.amqp.active else None

    @never_breaks_the_host
    def on_redis_read_end(self, _channel: Any, claim: RedisClaim, _result: Any, _error: Error) -> None:
        """Record the command as what it is, if its reply held no message."""
        command, claim.command = claim.command, None
        if command is not None and command.operation:
            self.recorder.record_call(
                command.session, command.operation, statement=command.statement, start_ns=command.start_ns,
                wire=command.wire, rows_returned=command.rows, error=command.error, facts=command.facts, kind=CLIENT,
            )  # fmt: skip

    # --- deliveries ---

    @never_breaks_the_host
    def on_message(self, consumer: Any, args: Any, _kwargs: Any) -> None:
        """Record a message that was delivered to a consumer, over whichever transport."""
        message = args[0]
        if not self.amqp.active or not hasattr(message, "body"):
            return  # a transport of the app's own may pass on what is not a message of kombu's
        channel = getattr(message, "channel", None) or getattr(consumer, "channel", None)
        connection = getattr(channel, "connection", None)
        properties = getattr(message, "properties", None) or {}
        headers = getattr(message, "headers", None) or properties.get("application_headers")
        content_type = getattr(message, "content_type", None) or properties.get("content_type")
        facts = payload_facts(message.body, content_type)
        if connection is not None and hasattr(connection, "server_properties"):
            self._record_amqp_delivery(connection, channel, message, properties, headers, facts)
        elif hasattr(channel, "_brpop_read"):
            delivery = getattr(message, "delivery_info", None) or {}
            queue = redact.redact_name(delivery.get("routing_key"))
            self._record_redis_delivery(channel, to_delivery(queue, queue, headers), facts)

    def _record_amqp_delivery(
        self, connection: Any, channel: Any, message: Any, properties: Any, headers: Any, facts: Facts
    ) -> None:
        state = self.amqp.connection_of(connection)
        delivery = getattr(message, "delivery_info", None) or {}
        queue = state.channel(getattr(channel, "channel_id", 0)).queue_of(delivery.get("consumer_tag"))
        if delivery.get("redelivered"):
            facts = (*facts, *self.amqp.redeliveries.facts(queue, message.body, headers))
        own_headers = properties.get("application_headers") if isinstance(properties, dict) else None
        estimated = (0, estimate_message_bytes(message.body, own_headers))
        request = to_delivery(queue or "?", queue, headers)
        self.amqp.record(state, request, rows=1, facts=facts, kind=CONSUMER, estimated=estimated)

    def _record_redis_delivery(self, channel: Any, request: AmqpRequest, facts: Facts) -> None:
        claim = current_claim()
        command = claim.command if claim is not None else None
        session, start_ns, wire = None, request.start_ns, None
        if claim is not None and command is not None and command.operation == "BRPOP":
            claim.command = _RECORDED  # here; what the app does inside is another call
            others = tuple(fact for fact in command.facts if fact[0] not in _PAYLOAD_FACTS)
            facts = (*others, *(facts or command.facts[: len(command.facts) - len(others)]))
            session, start_ns, wire = command.session, command.start_ns, command.wire
        elif is_instrumented("redis"):
            return
        self.recorder.record_call(
            session or self._requested_session(channel), request.operation, statement=request.statement,
            start_ns=start_ns, wire=wire, rows_returned=1, facts=(*facts, *destination_facts(request.destination)),
            kind=CONSUMER,
        )  # fmt: skip

    def _requested_session(self, channel: Any) -> Session:
        """Return the Redis session as configured, for a Redis client without a probe or a connection."""
        client = getattr(getattr(channel, "connection", None), "client", None)
        address, port = words(getattr(client, "hostname", ""), 255), getattr(client, "port", 0)
        port = port if isinstance(port, int) else 0
        namespace = words(getattr(client, "virtual_host", "")).strip("/") or "0"
        key = (address, port, namespace)
        session = self._requested_sessions.get(key)
        if session is None:
            session = Session(system="redis", address=address, port=port or 6379, namespace=namespace)
            remember(self._requested_sessions, key, session, MAX_CACHED_SESSIONS)
        return session
