"""D10 on redis: a Redis error text steers the terminal that shows the app's log."""

from backwatch.attack.clients.redis import READ_BASKET, Redis
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors


class ForgedErrors(RedisServer):
    """Refuses to read with a forged text, once hostile."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return an error or an honest reply."""
        if self.hostile and verb == b"GET":
            return b"-ERR " + FORGED.encode() + b"\r\n"
        return super().answer(verb, command, talk)


class RedisForgedLog(LogsErrors):
    """redis-py passes the text on unchanged."""

    errors = "redis.RedisError"
    server = ForgedErrors
    runs = (Run(Redis),)

    def ask(self) -> object:
        """Read a basket."""
        return repr(self.client.execute(READ_BASKET))
