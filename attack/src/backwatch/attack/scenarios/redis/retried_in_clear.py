"""A12 on redis, in an app that retries with ``ssl=False``."""

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import Session
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.retried_in_clear import BreaksThenListens, RetriesInClear


class _Breaking(BreaksThenListens, RedisServer):
    def hear(self, session: Session) -> None:
        """Serve the session, and record all commands."""
        self.taken = self.kept.append
        self.obey(session)


class RedisRetriedInClear(RetriesInClear):
    """The app sends the password to any server."""

    driver = "redis"
    option = "ssl=False"
    server = _Breaking

    def visit(self, *, checked: bool) -> object:
        """Read a basket."""
        from contextlib import closing

        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with closing(
            redis.Redis(
                host="localhost", port=self.config.port, password=SECRET, ssl=checked, ssl_ca_certs=self.config.ca_file,
                socket_timeout=5, retry=Retry(NoBackoff(), 0),
            )
        ) as client:  # fmt: skip
            try:
                return repr(client.get("basket:7"))
            except redis.ConnectionError as error:
                raise OSError from error
