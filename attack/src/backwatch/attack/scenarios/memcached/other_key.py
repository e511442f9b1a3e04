"""D7 on pymemcache: the answer is to another key than was asked for."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

THEIRS = b"what another user bought"


class Straying(Memcached):
    """Answers with another user's key and value, once it has turned."""

    def key(self, asked: bytes) -> bytes:
        """The key that it names."""
        return b"basket:8" if self.hostile else super().key(asked)

    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        """Another user's."""
        return (b"0", THEIRS) if self.hostile else super().value(key, stored)


class MemcachedOtherKey(Scenario):
    """pymemcache looks the key up among those asked for; an app that ignores exceptions sees a miss."""

    code = "D7"
    attack = "answers with another key and its value than was asked for"
    reference = "CVE-2020-13254; CVE-2023-28858; https://cwe.mitre.org/data/definitions/441.html"
    driver = "pymemcache"
    notices = "a basket that is not there"
    rule = "mismatched-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Straying(authority)

    def work(self) -> None:
        """Stores a basket, and reads it."""
        self.meet()

    def meet(self) -> object:
        """The same."""
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
        """The app took the other one's."""
        del service
        return THEIRS.decode() in f"{got}"
