"""E3 on pymemcache: a value is hundreds of thousands of times longer than stored."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

LENGTH = 8 << 20
"""Bytes; an honest memcached stores no more than one mebibyte."""


class _Flooding(Memcached):
    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        return (b"0", b"x" * LENGTH) if self.hostile else super().value(key, stored)


class MemcachedValueFlood(Scenario):
    """pymemcache reads a whole value into memory, at any announced length."""

    code = "E3"
    attack = "answers with eight mebibytes where a few bytes were stored"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt; ATT&CK T1499.004"
    driver = "pymemcache"
    notices = "a long value"
    rule = "bulk-read"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, honest at first."""
        return _Flooding(authority)

    def work(self) -> None:
        """Store a basket, and read it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the read and return the value's length."""
        import ssl
        from contextlib import closing

        from pymemcache.client.base import Client

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client: Any = Client(("localhost", self.config.port), tls_context=context, connect_timeout=5, timeout=5)
        with closing(client):
            client.set("basket:7", "two apples")
            return len(client.get("basket:7"))

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app read the whole value."""
        del service
        return got == LENGTH
