"""D10 on redis: a Redis error text steers the terminal that shows the app's log."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors


class _Forging(RedisServer):
    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        if self.hostile and verb == b"GET":
            return b"-ERR " + FORGED.encode() + b"\r\n"
        return super().answer(verb, command, talk)


class RedisForgedLog(LogsErrors):
    """redis-py passes the text on unchanged."""

    driver = "redis"
    errors = "redis.RedisError"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, honest at first."""
        return _Forging(authority)

    def ask(self) -> object:
        """Read a basket."""
        from contextlib import closing

        import redis

        with closing(
            redis.Redis(host="localhost", port=self.config.port, ssl=True, ssl_ca_certs=self.config.ca_file,
                        socket_timeout=5)
        ) as client:  # fmt: skip
            return repr(client.get("basket:7"))
