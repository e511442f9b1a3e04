"""E3 on pymemcache: a value is hundreds of thousands of times longer than stored."""

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.techniques.memcached import CachesBasket

LENGTH = 8 << 20
"""Bytes; an honest memcached stores no more than one mebibyte."""


class _Flooding(Memcached):
    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        return (b"0", b"x" * LENGTH) if self.hostile else super().value(key, stored)


class MemcachedValueFlood(CachesBasket):
    """pymemcache reads a whole value into memory, at any announced length."""

    code = "E3"
    attack = "answers with eight mebibytes where a few bytes were stored"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt; ATT&CK T1499.004"
    notices = "a long value"
    rule = "bulk-read"
    server = _Flooding
    shows = str(LENGTH)

    def work(self) -> object:
        """Store a basket, read it and return the value's length."""
        with self.open_client() as client:
            client.set("basket:7", "two apples")
            return len(client.get("basket:7"))
