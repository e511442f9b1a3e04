"""A12 on redis, in an app that retries with ``ssl=False``."""

from backwatch.attack.clients.redis import READ_BASKET, Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import SECRET, Run
from backwatch.attack.techniques.retried_in_clear import RetriesInClear


class RedisRetriedInClear(RetriesInClear):
    """The app sends the password to any server."""

    option = "ssl=False"
    server = RedisServer
    runs = (Run(Redis),)

    def visit(self, *, checked: bool) -> object:
        """Read a basket."""
        return repr(self.client.execute(READ_BASKET, password=SECRET, ssl=checked, **self.client.no_retry()))
