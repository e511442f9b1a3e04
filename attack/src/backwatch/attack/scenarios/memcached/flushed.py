"""G8: a visitor empties a memcached, through an app that forwards raw input."""

from backwatch.attack.scenarios.memcached.dump import MemcachedDump


class MemcachedFlushed(MemcachedDump):
    """``flush_all`` needs no permission."""

    attack = "empties a cache that everybody waits for"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt; ATT&CK T1485"
    rule = "data-destroyed"
    shows = "OK"

    def meet(self) -> object:
        """Send the attacker's command."""
        return self.forward("flush_all", b"\r\n")
