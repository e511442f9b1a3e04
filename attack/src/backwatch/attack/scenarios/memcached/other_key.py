"""D7 on pymemcache: the response holds another key than the request."""

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.techniques.memcached import CachesBasket

THEIRS = b"what another user bought"


class OtherKeyMemcached(Memcached):
    """Responds with another user's key and value, once hostile."""

    def key(self, asked: bytes) -> bytes:
        """Return the key to respond with."""
        return b"basket:8" if self.hostile else super().key(asked)

    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        """Return the other user's value."""
        return (b"0", THEIRS) if self.hostile else super().value(key, stored)


class MemcachedOtherKey(CachesBasket):
    """pymemcache looks up the key among those requested. An app that ignores exceptions sees a cache miss."""

    code = "D7"
    attack = "answers with another key and its value than was asked for"
    reference = "CVE-2020-13254; CVE-2023-28858; https://cwe.mitre.org/data/definitions/441.html"
    notices = "a basket that is not there"
    rule = "mismatched-response"
    server = OtherKeyMemcached
    shows = THEIRS.decode()

    def work(self) -> object:
        """Store a basket, and read it."""
        with self.open_client(ignore_exc=True) as client:
            client.set("basket:7", "two apples", expire=60)
            return repr(client.get("basket:7"))
