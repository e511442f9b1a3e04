"""C1 on valkey, in a cluster client: one node replies MOVED. The client logs in at that address."""

from typing import Any

from backwatch.attack.scenarios import SECRET
from backwatch.attack.scenarios.redis.moved_cluster import RedisMovedCluster


class ValkeyMovedCluster(RedisMovedCluster):
    """The same app with Valkey's own client."""

    driver = "valkey"

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        from valkey.cluster import ValkeyCluster

        return ValkeyCluster(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip
