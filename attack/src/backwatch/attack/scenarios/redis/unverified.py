"""A5 on redis, in an app that retries with ``ssl_cert_reqs="none"``."""

from backwatch.attack.clients.redis import READ_BASKET, Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import SECRET, Run
from backwatch.attack.techniques.unverified import TriesUnverified


class RedisUnverified(TriesUnverified):
    """The app sends the password to any server that responds."""

    option = 'ssl_cert_reqs="none"'
    server = RedisServer
    runs = (Run(Redis),)

    def visit(self, *, checked: bool) -> object:
        """Read a basket."""
        tls = {"ssl_cert_reqs": "required" if checked else "none", "ssl_check_hostname": checked}
        return repr(self.client.execute(READ_BASKET, password=SECRET, **tls, **self.client.no_retry()))
