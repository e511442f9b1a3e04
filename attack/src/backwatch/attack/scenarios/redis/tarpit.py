"""E1 on redis: the server accepts connections, and delays each reply."""

import time

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.slow import DRIPS, EVERY_S, Waits


class _Tarpit(RedisServer):
    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        if self.hostile and verb == b"GET":
            time.sleep(DRIPS * EVERY_S)
        return super().answer(verb, command, talk)


class RedisTarpit(Waits):
    """redis-py waits without limit, unless ``socket_timeout`` is set."""

    attack = "takes seconds over an answer, and keeps the app waiting"
    reference = "ATT&CK T1499.004; https://redis.io/docs/latest/develop/clients/redis-py/produsage/"
    driver = "redis"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the slow server."""
        return _Tarpit(authority)

    def work(self) -> None:
        """Read a basket."""
        from contextlib import closing

        import redis

        with closing(
            redis.Redis(host="localhost", port=self.config.port, ssl=True, ssl_ca_certs=self.config.ca_file,
                        socket_timeout=10)
        ) as client:  # fmt: skip
            client.get("basket:7")
