"""C1 on valkey, in a cluster's client: one node says MOVED, and the client logs in wherever it says."""

from typing import Any

from backwatch.attack.scenarios import SECRET
from backwatch.attack.scenarios.redis.moved_cluster import RedisMovedCluster


class ValkeyMovedCluster(RedisMovedCluster):
    """The same app with Valkey's own client."""

    driver = "valkey"

    def open_client(self) -> Any:
        """Of the library, over verified TLS."""
        from valkey.cluster import ValkeyCluster

        return ValkeyCluster(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip
