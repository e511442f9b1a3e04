"""A1 on pymemcache: the app attaches a second memcached without TLS, as is common."""

from typing import Any

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, Memcached):
    pass


class MemcachedSecond(AttachesInClear):
    """pymemcache uses TLS only if given a context."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads what is kept in it"
    driver = "pymemcache"
    rule = "plaintext-session"
    service_class = _Both
    said = b"two apples"

    def visit(self, host: str, *, careful: bool) -> object:
        """Store a basket, and read it."""
        import ssl
        from contextlib import closing

        from pymemcache.client.base import Client

        context = ssl.create_default_context(cafile=self.config.ca_file) if careful else None
        client: Any = Client((host, self.config.port), tls_context=context, connect_timeout=5, timeout=5)
        with closing(client):
            client.set("basket:7", "two apples", expire=60)
            return repr(client.get("basket:7"))
