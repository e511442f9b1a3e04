"""A5 on redis, in an app that retries with ``ssl_cert_reqs="none"``."""

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.unverified import TriesUnverified


class RedisUnverified(TriesUnverified):
    """The app sends the password to any server that responds."""

    driver = "redis"
    option = 'ssl_cert_reqs="none"'
    server = RedisServer

    def visit(self, *, checked: bool) -> object:
        """Read a basket."""
        from contextlib import closing

        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with closing(
            redis.Redis(
                host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
                ssl_cert_reqs="required" if checked else "none", ssl_check_hostname=checked, socket_timeout=5,
                retry=Retry(NoBackoff(), 0),
            )
        ) as client:  # fmt: skip
            try:
                return repr(client.get("basket:7"))
            except redis.ConnectionError as error:
                raise OSError from error
