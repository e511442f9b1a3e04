"""C1 on redis, in a cluster's client: one node says MOVED, and the client logs in wherever it says."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.redis_moved import Leading


class RedisMovedCluster(RedisMoved):
    """The cluster's client takes any host for a node that MOVED names."""

    attack = "answers with MOVED to a host that is no node, which is sent the password and the keys"
    notices = "nothing"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """A cluster's client knows its nodes by address."""
        service = Leading(authority)
        service.target = b"localhost"
        return service

    def open_client(self) -> Any:
        """Of the library, over verified TLS."""
        from redis.cluster import RedisCluster

        return RedisCluster(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip
