"""An app that keeps baskets in a cache, on pymemcache."""

from contextlib import closing
from typing import Any

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.scenarios import Scenario


class CachesBasket(Scenario):
    """An app that stores a basket, and reads it."""

    driver = "pymemcache"
    server = Memcached

    def open_client(self, host: str = "localhost", *, in_clear: bool = False, **options: Any) -> closing[Any]:
        """Return the library's client, over verified TLS unless in plaintext, within a context that closes it."""
        from pymemcache.client.base import Client

        context = None if in_clear else self.tls_context()
        return closing(Client((host, self.config.port), tls_context=context, connect_timeout=5, timeout=5, **options))

    def work(self) -> object:
        """Store a basket, and read it."""
        with self.open_client() as client:
            client.set("basket:7", "two apples", expire=60)
            return repr(client.get("basket:7"))
