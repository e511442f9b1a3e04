"""An honest Kafka broker over TLS, alone in its cluster, for entries that turn it: what a producer asks of one."""

import struct
from typing import Final

from backwatch.attack.servers import HostileServer, Session

_PRODUCE, _METADATA, _SASL_HANDSHAKE, _VERSIONS, _SASL = 0, 3, 17, 18, 36
_SPOKEN: Final = {_PRODUCE: (0, 3), _METADATA: (0, 1), _SASL_HANDSHAKE: (0, 1), _VERSIONS: (0, 0), _SASL: (0, 0)}
_UNSUPPORTED_VERSION: Final = 35
TOPIC: Final = "orders"


class _Reader:
    """What is in a request, from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        """A signed number of so many bytes."""
        return int.from_bytes(self.raw(size), "big", signed=True)

    def text(self) -> bytes:
        """A string; empty where it is null."""
        return self.raw(max(self.number(2), 0))

    def sized(self) -> bytes:
        """Bytes; empty where they are null."""
        return self.raw(max(self.number(4), 0))

    def raw(self, count: int) -> bytes:
        """So many bytes."""
        self._at += count
        if self._at > len(self._data):
            raise EOFError
        return self._data[self._at - count : self._at]


class Kafka(HostileServer):
    """Orders are sent to it. Passwords and messages are handed to ``taken``."""

    name = "kafka"
    attack = "is honest"
    reference = "https://kafka.apache.org/protocol.html"
    driver = "kafka"
    rule = "topology-changed"

    def serve(self, session: Session) -> None:
        """TLS, then requests; anybody may log in."""
        session.secure()
        while True:
            request = _Reader(session.read(int.from_bytes(session.read(4), "big")))
            kind, version, number = request.number(2), request.number(2), request.raw(4)
            request.text()  # the client's name
            if kind == _VERSIONS:
                answer = _versions(version)
            elif kind == _SASL_HANDSHAKE:
                answer = struct.pack(">hi", 0, 1) + _text("PLAIN")
            elif kind == _SASL:
                self.taken(request.sized())
                answer = struct.pack(">hhi", 0, -1, 0)
            elif kind == _METADATA:
                answer = self._metadata()
            elif kind == _PRODUCE:
                answer = self._produced(request, version)
            else:
                raise ValueError("nobody in the pack asks for that")
            session.send(struct.pack(">i", len(answer) + 4) + number + answer)

    def brokers(self) -> list[tuple[str, int]]:
        """The cluster's; the last one leads."""
        return [("localhost", self.port)]

    def _metadata(self) -> bytes:
        brokers = self.brokers()
        leader = len(brokers) - 1
        told = b"".join(
            struct.pack(">i", at) + _text(host) + struct.pack(">ih", port, -1)
            for at, (host, port) in enumerate(brokers)
        )
        partition = struct.pack(">ihiiiiii", 1, 0, 0, leader, 1, leader, 1, leader)
        topic = struct.pack(">h", 0) + _text(TOPIC) + b"\0" + partition
        return struct.pack(">i", len(brokers)) + told + struct.pack(">ii", 0, 1) + topic

    def _produced(self, request: _Reader, version: int) -> bytes:
        if version >= 3:
            request.text()  # the transaction's name
        request.raw(2 + 4 + 4)  # acknowledgements, patience, one topic
        topic = request.text()
        request.raw(4)  # one partition
        partition = request.raw(4)
        self.taken(request.sized())
        answer = struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic + struct.pack(">i", 1) + partition
        return answer + struct.pack(">hqqi", 0, 7, -1, 0)


def _versions(asked: int) -> bytes:
    error = 0 if asked == 0 else _UNSUPPORTED_VERSION
    spoken = b"".join(struct.pack(">hhh", kind, *span) for kind, span in _SPOKEN.items())
    return struct.pack(">hi", error, len(_SPOKEN)) + spoken


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()
