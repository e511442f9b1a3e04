"""C1 on redis, in a cluster client: one node replies MOVED. The client logs in at that address."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.redis_moved import Leading


class RedisMovedCluster(RedisMoved):
    """The cluster client accepts any host that MOVED names as a node."""

    attack = "answers with MOVED to a host that is no node, which is sent the password and the keys"
    notices = "nothing"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that its clients know by address, as cluster nodes are."""
        service = Leading(authority)
        service.target = b"localhost"
        return service

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        from redis.cluster import RedisCluster

        return RedisCluster(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip
