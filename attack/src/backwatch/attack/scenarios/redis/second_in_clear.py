"""A1 on redis: the app attaches a second Redis by ``redis://``."""

from typing import Any

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.second import AttachesInClear


class RedisSecond(AttachesInClear):
    """The URL lacks an ``s``, and the password can be read on the network."""

    driver = "redis"
    server = RedisServer

    def visit(self, host: str, *, careful: bool) -> object:
        """Store a basket, and read it."""
        from contextlib import closing

        import redis

        more: Any = {"ssl": True, "ssl_ca_certs": self.config.ca_file, "ssl_check_hostname": True} if careful else {}
        with closing(redis.Redis(host, self.config.port, password=SECRET, socket_timeout=5, **more)) as client:
            client.set("basket:7", "two apples")
            return repr(client.get("basket:7"))
