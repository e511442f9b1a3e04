"""E3 on redis-py: a value is hundreds of thousands of times longer than before."""

from backwatch.attack.clients.redis import READ_BASKET, Redis
from backwatch.attack.protocols.redis import RedisServer, Talk, bulk
from backwatch.attack.scenarios import Run, Scenario

LENGTH = 8 << 20
"""Bytes; a real one may be up to 512 MiB long."""


class LongValues(RedisServer):
    """Returns a long value, once hostile."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return the long value or an honest one."""
        if verb != b"GET":
            return super().answer(verb, command, talk)
        return bulk(b"x" * LENGTH if self.hostile else b"two apples")


class RedisValueFlood(Scenario):
    """redis-py reads a whole value into memory, at any announced length."""

    code = "E3"
    attack = "answers with eight mebibytes where a few bytes were stored"
    reference = "https://redis.io/docs/latest/develop/reference/protocol-spec/; ATT&CK T1499.004"
    notices = "a long value"
    rule = "bulk-read"
    server = LongValues
    runs = (Run(Redis),)

    def work(self) -> object:
        """Return the length of a basket."""
        return len(self.client.execute(READ_BASKET)[0])

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app read the whole value."""
        del service
        return got == LENGTH
