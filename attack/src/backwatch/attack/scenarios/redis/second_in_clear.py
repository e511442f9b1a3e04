"""A1 on redis: a second Redis is attached by ``redis://``."""

from typing import Any

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, RedisServer):
    pass


class RedisSecond(AttachesInClear):
    """An ``s`` is missing in the URL, and the password is read on the way."""

    driver = "redis"
    service_class = _Both

    def visit(self, host: str, *, careful: bool) -> object:
        """Keeps a basket, and reads it."""
        from contextlib import closing

        import redis

        more: Any = {"ssl": True, "ssl_ca_certs": self.config.ca_file, "ssl_check_hostname": True} if careful else {}
        with closing(redis.Redis(host, self.config.port, password=SECRET, socket_timeout=5, **more)) as client:
            client.set("basket:7", "two apples")
            return repr(client.get("basket:7"))
