"""E3 on redis-py: a value is hundreds of thousands of times longer than before."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import RedisServer, Talk, bulk
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

LENGTH = 8 << 20
"""Bytes; a real one may be up to 512 MiB long."""


class _Flooding(RedisServer):
    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        if verb != b"GET":
            return super().answer(verb, command, talk)
        return bulk(b"x" * LENGTH if self.hostile else b"two apples")


class RedisValueFlood(Scenario):
    """redis-py reads a whole value into memory, at any announced length."""

    code = "E3"
    attack = "answers with eight mebibytes where a few bytes were stored"
    reference = "https://redis.io/docs/latest/develop/reference/protocol-spec/; ATT&CK T1499.004"
    driver = "redis"
    notices = "a long value"
    rule = "bulk-read"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, honest at first."""
        return _Flooding(authority)

    def work(self) -> None:
        """Read a basket."""
        self.meet()

    def meet(self) -> object:
        """Repeat the read and return the value's length."""
        from contextlib import closing

        import redis

        with closing(
            redis.Redis(host="localhost", port=self.config.port, ssl=True, ssl_ca_certs=self.config.ca_file,
                        socket_timeout=5)
        ) as client:  # fmt: skip
            return len(client.get("basket:7") or b"")  # pyright: ignore[reportArgumentType]  the sync client's is bytes

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app read the whole value."""
        del service
        return got == LENGTH
