"""C1, C2: a Redis that redirects its clients to another host."""

from binascii import crc_hqx

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import SLOTS, RedisServer, Talk
from backwatch.attack.protocols.server import LOOPBACK


class PoisonedRedis(RedisServer):
    """Target of the redirect: every basket is the attacker's."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return the attacker's basket."""
        return b"$7\r\npoisons\r\n" if verb == b"GET" else super().answer(verb, command, talk)


class MovingRedis(RedisServer):
    """Replies MOVED to every command on a key, once hostile.

    Attributes:
        elsewhere: Target of the redirect.
        target: Host in the redirect: loopback by another name than the client's, or it would not be another host.
    """

    target = LOOPBACK.encode()

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = self.attach(PoisonedRedis(authority))

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Reply MOVED, once hostile."""
        if self.hostile and verb in (b"GET", b"SET"):
            slot = crc_hqx(command[1], 0) % SLOTS
            return b"-MOVED %d %s:%d\r\n" % (slot, self.target, self.elsewhere.port)
        return super().answer(verb, command, talk)
