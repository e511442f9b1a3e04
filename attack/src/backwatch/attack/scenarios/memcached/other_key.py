"""D7 on pymemcache: the response holds another key than the request."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

THEIRS = b"what another user bought"


class Straying(Memcached):
    """Responds with another user's key and value, once hostile."""

    def key(self, asked: bytes) -> bytes:
        """Return the key to respond with."""
        return b"basket:8" if self.hostile else super().key(asked)

    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        """Return the other user's value."""
        return (b"0", THEIRS) if self.hostile else super().value(key, stored)


class MemcachedOtherKey(Scenario):
    """pymemcache looks up the key among those requested. An app that ignores exceptions sees a cache miss."""

    code = "D7"
    attack = "answers with another key and its value than was asked for"
    reference = "CVE-2020-13254; CVE-2023-28858; https://cwe.mitre.org/data/definitions/441.html"
    driver = "pymemcache"
    notices = "a basket that is not there"
    rule = "mismatched-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, honest at first."""
        return Straying(authority)

    def work(self) -> None:
        """Store a basket, and read it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import ssl
        from contextlib import closing

        from pymemcache.client.base import Client

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client: Any = Client(
            ("localhost", self.config.port), ignore_exc=True, tls_context=context, connect_timeout=5, timeout=5
        )
        with closing(client):
            client.set("basket:7", "two apples", expire=60)
            return repr(client.get("basket:7"))

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app accepted the other user's value."""
        del service
        return THEIRS.decode() in f"{got}"
