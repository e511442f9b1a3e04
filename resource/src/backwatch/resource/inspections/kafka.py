"""Kafka: ApiVersions, which every broker answers before a login; Metadata, which only an open one answers."""

import struct
from typing import ClassVar

from backwatch.resource.inspections import PROBE_NAME, Inspection, Link
from backwatch.resource.url import ServiceUrl


class KafkaInspection(Inspection):
    """A listener speaks TLS or does not; the scheme selects."""

    schemes: ClassVar = ("kafka", "kafkas")
    tls_schemes: ClassVar = ("kafkas",)
    plaintext_port: ClassVar = 9092

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return whether a broker answers."""
        del url
        return "the broker takes requests without TLS" if _request(link, 18, b"") else ""

    def needs_no_login(self, link: Link, url: ServiceUrl) -> str:
        """Return whether a broker lists its topics without a login."""
        del url
        return "the broker lists its topics without a login" if _request(link, 3, struct.pack(">i", 0)) else ""


def _request(link: Link, key: int, body: bytes) -> bytes:
    """Return the first bytes of a broker's answer to a request of version 0; nothing: it closed the connection."""
    name = PROBE_NAME.encode()
    request = struct.pack(">hhih", key, 0, 7, len(name)) + name + body
    link.send(struct.pack(">i", len(request)) + request)
    try:
        length, number = struct.unpack(">ii", link.read(8))
    except OSError:
        return b""
    return b"answered" if number == 7 and length >= 4 else b""
