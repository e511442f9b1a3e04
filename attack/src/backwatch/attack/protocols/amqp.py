"""An honest AMQP 0-9-1 broker over TLS. Its queues last as long as a session. Subclasses change messages.

A message that a client requeues is redelivered first and marked so, as often as it is requeued.
"""

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from backwatch.attack.protocols.server import MAX_KEPT, MAX_MESSAGE_BYTES, HostileServer, ServerSession

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END: Final = b"\xce"
_START, _START_OK, _TUNE, _TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
_OPEN, _CLOSE = (10, 40), (10, 50)
_DECLARE, _CONSUME, _PUBLISH, _DELIVER, _GET, _ACK = (50, 10), (60, 20), (60, 40), (60, 60), (60, 70), (60, 80)
_NACK, _REJECT = (60, 120), (60, 90)
_PURGE: Final = (50, 30)
_CONFIRM: Final = (85, 10)
_ANSWERS: Final = {
    _OPEN: b"\0", _CLOSE: b"", (20, 10): bytes(4), (20, 40): b"", (40, 10): b"", (50, 20): b"", (60, 10): b"",
    _CONFIRM: b"",
}  # fmt: skip
"""Methods accepted unread: the arguments of the reply, by class and method number."""
MAX_FRAME_BYTES: Final = 131_072


@dataclass(slots=True)
class _Talk:
    """State of one session: confirms, published and unacknowledged messages, consumers, queues."""

    confirms: bool = False
    published: int = 0
    delivered: int = 0
    queue: bytes = b""
    properties: bytes = b""
    missing: int = 0
    body: bytearray = field(default_factory=bytearray)
    consumer: tuple[bytes, bytes] | None = None
    queues: dict[bytes, deque["_Message"]] = field(default_factory=dict[bytes, deque["_Message"]])
    handed_out: dict[int, tuple[bytes, "_Message"]] = field(default_factory=dict[int, tuple[bytes, "_Message"]])


@dataclass(frozen=True, slots=True)
class _Message:
    properties: bytes
    body: bytes
    again: bool = False


class AMQP(HostileServer):
    """Queues orders."""

    name = "amqp"
    attack = "is honest"
    reference = "https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf"
    driver = "pika"
    rule = "hostile-payload"

    def serve(self, session: ServerSession) -> None:
        """Serve the handshake, any login, then methods."""
        session.secure()
        if session.read(8)[:4] != b"AMQP":
            raise ValueError("not AMQP")
        able = _table(dict.fromkeys((b"publisher_confirms", b"basic.nack", b"consumer_cancel_notify"), b"t\x01"))
        table = _table(
            {b"product": b"S" + _long(b"RabbitMQ"), b"version": b"S" + _long(b"4.2.1"), b"capabilities": b"F" + able}
        )
        _send(session, 0, _START, b"\x00\x09" + table + _long(b"PLAIN AMQPLAIN") + _long(b"en_US"))
        talk = _Talk()
        while True:
            kind, channel, payload = _received(session)
            if kind == _METHOD:
                method = struct.unpack_from(">HH", payload)
                self.on_leak(payload)
                self._method(session, channel, (method[0], method[1]), payload[4:], talk)
                if method == _CLOSE:
                    return
            elif kind == _HEADER:
                (talk.missing,) = struct.unpack_from(">Q", payload, 4)
                talk.properties, talk.body = payload[12:], bytearray()
            elif kind == _BODY:
                talk.missing -= len(payload)
                talk.body += payload
                if len(talk.body) > MAX_MESSAGE_BYTES:
                    raise ValueError("a message of that size is not the shop's")
            if kind in (_HEADER, _BODY) and talk.missing <= 0:
                self._store_message(session, channel, talk)

    def message(self, body: bytes) -> bytes:
        """Return the message to deliver for a published one; unchanged here."""
        return body

    def _method(self, session: ServerSession, channel: int, method: tuple[int, int], given: bytes, talk: _Talk) -> None:
        if method == _START_OK:
            _send(session, 0, _TUNE, struct.pack(">HIH", 2047, MAX_FRAME_BYTES, 60))
        elif method == _DECLARE:
            name = _short_in(given, 2)
            waiting = len(talk.queues.get(name, ()))
            _send(session, channel, (50, 11), _short(name) + struct.pack(">II", waiting, 0))
        elif method == _PURGE:
            gone = talk.queues.pop(_short_in(given, 2), ())
            _send(session, channel, (50, 31), struct.pack(">I", len(gone)))
        elif method == _PUBLISH:
            exchange = _short_in(given, 2)
            talk.queue = _short_in(given, 3 + len(exchange))
        elif method == _GET:
            self._give(session, channel, _short_in(given, 2), talk)
        elif method in (_NACK, _REJECT):
            tag, how = struct.unpack_from(">QB", given)
            self._take_back(talk, tag, requeue=bool(how & (2 if method == _NACK else 1)))
            self._deliver(session, channel, talk)
        elif method == _CONSUME:
            queue = _short_in(given, 2)
            talk.consumer = (_short_in(given, 3 + len(queue)) or b"shop", queue)
            _send(session, channel, (60, 21), _short(talk.consumer[0]))
            self._deliver(session, channel, talk)
        elif method == (60, 30):
            talk.consumer = None
            _send(session, channel, (60, 31), _short(_short_in(given, 0)))
        elif method in _ANSWERS:
            talk.confirms = talk.confirms or method == _CONFIRM
            _send(session, channel, (method[0], method[1] + 1), _ANSWERS[method])

    def _store_message(self, session: ServerSession, channel: int, talk: _Talk) -> None:
        if talk.queue not in talk.queues and len(talk.queues) >= MAX_KEPT:
            talk.queues.clear()
        talk.queues.setdefault(talk.queue, deque(maxlen=MAX_KEPT)).append(_Message(talk.properties, bytes(talk.body)))
        talk.published += 1
        if talk.confirms:
            _send(session, channel, _ACK, struct.pack(">QB", talk.published, 0))
        self._deliver(session, channel, talk)

    def _give(self, session: ServerSession, channel: int, queue: bytes, talk: _Talk) -> None:
        waiting = talk.queues.get(queue)
        if not waiting:
            _send(session, channel, (60, 72), b"\0")
            return
        marked, message = self._hands_out(talk, queue, waiting.popleft())
        head = marked + b"\0" + _short(queue) + struct.pack(">I", len(waiting))
        _send(session, channel, (60, 71), head, _content(channel, message.properties, message.body))

    def _deliver(self, session: ServerSession, channel: int, talk: _Talk) -> None:
        while talk.consumer is not None and (waiting := talk.queues.get(talk.consumer[1])):
            marked, message = self._hands_out(talk, talk.consumer[1], waiting.popleft())
            head = _short(talk.consumer[0]) + marked + b"\0" + _short(talk.consumer[1])
            _send(session, channel, _DELIVER, head, _content(channel, message.properties, message.body))

    def _hands_out(self, talk: _Talk, queue: bytes, message: _Message) -> tuple[bytes, _Message]:
        """Return delivery tag, redelivery flag and body as they are sent; and the message."""
        talk.delivered += 1
        if len(talk.handed_out) >= MAX_KEPT:
            talk.handed_out.clear()
        message = message if message.again else _Message(message.properties, self.message(message.body))
        talk.handed_out[talk.delivered] = queue, message
        return struct.pack(">QB", talk.delivered, message.again), message

    @staticmethod
    def _take_back(talk: _Talk, tag: int, *, requeue: bool) -> None:
        queue, message = talk.handed_out.pop(tag, (b"", None))
        if message is not None and requeue:
            message = _Message(message.properties, message.body, again=True)
            talk.queues.setdefault(queue, deque(maxlen=MAX_KEPT)).appendleft(message)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + _END


def _send(
    session: ServerSession, channel: int, method: tuple[int, int], arguments: bytes, content: bytes = b""
) -> None:
    session.send(_frame(_METHOD, channel, struct.pack(">HH", *method) + arguments) + content)


def _content(channel: int, properties: bytes, body: bytes) -> bytes:
    head = _frame(_HEADER, channel, struct.pack(">HHQ", 60, 0, len(body)) + properties)
    most = MAX_FRAME_BYTES - 8
    return head + b"".join(_frame(_BODY, channel, body[at : at + most]) for at in range(0, len(body), most))


def _received(session: ServerSession) -> tuple[int, int, bytes]:
    kind, channel, size = struct.unpack(">BHI", session.read(7))
    payload = session.read(size)
    if session.read(1) != _END:
        raise ValueError("a frame without its end")
    return kind, channel, payload


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _short_in(given: bytes, at: int) -> bytes:
    return given[at + 1 : at + 1 + given[at]]


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _table(pairs: dict[bytes, bytes]) -> bytes:
    """Encode a table of values that carry their type."""
    return _long(b"".join(_short(name) + value for name, value in pairs.items()))
