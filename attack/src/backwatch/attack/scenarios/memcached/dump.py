"""G8: a visitor lists the keys of a memcached, through an app that forwards raw input."""

from backwatch.attack.techniques.memcached import CachesBasket

DUMP = "stats cachedump 1 100"


class MemcachedDump(CachesBasket):
    """On pymemcache, in an app whose support page forwards commands."""

    code = "G8"
    attack = "has the keys of a cache dumped"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt; ATT&CK T1213"
    rule = "cache-dump"
    stays_honest = True
    shows = "ITEM basket:7"

    def forward(self, command: str, end: bytes) -> str:
        """Return the response as the page shows it."""
        with self.open_client() as client:
            client.set("basket:7", "two apples")
            return client.raw_command(command, end_tokens=end).decode()

    def work(self) -> object:
        """Ask for the version as a visitor."""
        return self.forward("version", b"\r\n")

    def meet(self) -> object:
        """Send the attacker's command."""
        return self.forward(DUMP, b"END\r\n")
