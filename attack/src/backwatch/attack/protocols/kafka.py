"""An honest single-broker Kafka cluster over TLS, for scenarios to extend."""

import struct
from dataclasses import dataclass
from typing import Final

import crc32c

from backwatch.attack.protocols.server import HostileServer, ServerSession
from backwatch.collector.pipeline.protobuf import varint

_PRODUCE, _METADATA, _SASL_HANDSHAKE, _VERSIONS, _SASL = 0, 3, 17, 18, 36
_FETCH, _OFFSETS = 1, 2
_SPOKEN: Final = {_PRODUCE: (0, 3), _METADATA: (0, 1), _SASL_HANDSHAKE: (0, 1), _VERSIONS: (0, 0), _SASL: (0, 0)}
_UNSUPPORTED_VERSION: Final = 35
TOPIC: Final = "orders"


class _Reader:
    """A reader of a request's fields, from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        """Return a signed number of ``size`` bytes."""
        return int.from_bytes(self.raw(size), "big", signed=True)

    def text(self) -> bytes:
        """Return a string; empty if it is null."""
        return self.raw(max(self.number(2), 0))

    def read_sized(self) -> bytes:
        """Return bytes; empty if they are null."""
        return self.raw(max(self.number(4), 0))

    def raw(self, count: int) -> bytes:
        """Return ``count`` bytes."""
        self._at += count
        if self._at > len(self._data):
            raise EOFError
        return self._data[self._at - count : self._at]


class Kafka(HostileServer):
    """Accepts orders. Passwords and messages are passed to ``taken``."""

    name = "kafka"
    attack = "is honest"
    reference = "https://kafka.apache.org/protocol.html"
    driver = "kafka"
    rule = "topology-changed"

    def serve(self, session: ServerSession) -> None:
        """Negotiate TLS, then serve requests; any login is accepted."""
        session.secure()
        while True:
            request = _Reader(session.read(int.from_bytes(session.read(4), "big")))
            kind, version, number = request.number(2), request.number(2), request.raw(4)
            request.text()  # the client id
            if kind == _VERSIONS:
                answer = _versions(version, self.supported_versions())
            elif kind == _SASL_HANDSHAKE:
                answer = struct.pack(">hi", 0, 1) + _text("PLAIN")
            elif kind == _SASL:
                self.on_leak(request.read_sized())
                answer = struct.pack(">hhi", 0, -1, 0)
            elif kind == _METADATA:
                answer = self._metadata()
            elif kind == _PRODUCE:
                answer = self._produced(request, version)
            else:
                answer = self.further(kind, request)
            session.send(struct.pack(">i", len(answer) + 4) + number + answer)

    def supported_versions(self) -> dict[int, tuple[int, int]]:
        """Return the supported API keys, with the oldest and the newest version of each."""
        return dict(_SPOKEN)

    def further(self, kind: int, request: _Reader) -> bytes:
        """Respond to a request of another kind."""
        del kind, request
        raise ValueError("no scenario requests that")

    def brokers(self) -> list[tuple[str, int]]:
        """Return the cluster's brokers; the last one leads."""
        return [("localhost", self.port)]

    def _metadata(self) -> bytes:
        brokers = self.brokers()
        leader = len(brokers) - 1
        addresses = b"".join(
            struct.pack(">i", at) + _text(host) + struct.pack(">ih", port, -1)
            for at, (host, port) in enumerate(brokers)
        )
        partition = struct.pack(">ihiiiiii", 1, 0, 0, leader, 1, leader, 1, leader)
        topic = struct.pack(">h", 0) + _text(TOPIC) + b"\0" + partition
        return struct.pack(">i", len(brokers)) + addresses + struct.pack(">ii", 0, 1) + topic

    def _produced(self, request: _Reader, version: int) -> bytes:
        if version >= 3:
            request.text()  # the transactional id
        request.raw(2 + 4 + 4)  # acknowledgements, timeout, one topic
        topic = request.text()
        request.raw(4)  # one partition
        partition = request.raw(4)
        self.on_leak(request.read_sized())
        answer = struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic + struct.pack(">i", 1) + partition
        return answer + struct.pack(">hqqi", 0, 7, -1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicMessage:
    """One message of a topic.

    Attributes:
        key: Message key, or ``None``.
        headers: Name to value.
    """

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class KafkaLog(Kafka):
    """A broker whose topic can be read too: there is always one more message."""

    def supported_versions(self) -> dict[int, tuple[int, int]]:
        """Return the API keys of a producer and a consumer."""
        return {**_SPOKEN, _FETCH: (4, 4), _OFFSETS: (1, 1)}

    def message(self, offset: int) -> TopicMessage:
        """Return the message at an offset."""
        return TopicMessage(value=b'{"order": %d}' % offset, key=b"%d" % offset, headers=(("traceparent", _TRACE),))

    def further(self, kind: int, request: _Reader) -> bytes:
        """Respond with the topic's bounds, and one message at a time."""
        if kind == _OFFSETS:
            return struct.pack(">i", 1) + _text(TOPIC) + struct.pack(">iihqq", 1, 0, 0, -1, 0)
        if kind != _FETCH:
            return super().further(kind, request)
        request.raw(4 + 4 + 4 + 4 + 1)  # replica, maximum wait, minimum bytes, maximum bytes, isolation
        if not request.number(4):  # topics
            return struct.pack(">ii", 0, 0)
        request.text()
        request.raw(4 + 4)  # one partition
        offset = request.number(8)
        batch = _batch(offset, self.message(offset))
        head = struct.pack(">iihqqi", 1, 0, 0, offset + 1, offset + 1, -1)
        return struct.pack(">ii", 0, 1) + _text(TOPIC) + head + struct.pack(">i", len(batch)) + batch


_TRACE: Final = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _batch(offset: int, message: TopicMessage) -> bytes:
    """Encode a record batch (version 2) of one message."""
    pairs = b"".join(_counted(name.encode()) + _counted(value) for name, value in message.headers)
    record = (
        b"\0\0\0" + (_signed(-1) if message.key is None else _counted(message.key)) + _counted(message.value)
        + _signed(len(message.headers)) + pairs
    )  # fmt: skip
    body = struct.pack(">hiqqqhii", 0, 0, 0, 0, -1, -1, -1, 1) + _counted(record)
    return struct.pack(">qiib", offset, len(body) + 9, -1, 2) + struct.pack(">I", crc32c.crc32c(body)) + body


def _counted(data: bytes) -> bytes:
    return _signed(len(data)) + data


def _signed(number: int) -> bytes:
    return varint((number << 1) ^ (number >> 63))


def _versions(asked: int, supported_versions: dict[int, tuple[int, int]]) -> bytes:
    error = 0 if asked == 0 else _UNSUPPORTED_VERSION
    spans = b"".join(struct.pack(">hhh", kind, *span) for kind, span in supported_versions.items())
    return struct.pack(">hi", error, len(supported_versions)) + spans


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()
