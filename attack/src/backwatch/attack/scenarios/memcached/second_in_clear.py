"""A1 on pymemcache: the app attaches a second memcached without TLS, as is common."""

from backwatch.attack.techniques.memcached import CachesBasket
from backwatch.attack.techniques.second import AttachesInClear


class MemcachedSecond(AttachesInClear, CachesBasket):
    """pymemcache uses TLS only if given a context."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads what is kept in it"
    rule = "plaintext-session"
    confidential = b"two apples"

    def visit(self, host: str, *, careful: bool) -> object:
        """Store a basket, and read it."""
        with self.open_client(host, in_clear=not careful) as client:
            client.set("basket:7", "two apples", expire=60)
            return repr(client.get("basket:7"))
