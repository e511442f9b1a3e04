"""C1 on redis, in a cluster's client: one node says MOVED, and the client logs in wherever it says."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.entries import SECRET, run
from backwatch.attack.entries._redis_moved import Leading
from backwatch.attack.entries.redis_moved import RedisMoved
from backwatch.attack.protocols.server import HostileServer


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

    def client(self) -> Any:
        """Of the library, over verified TLS."""
        from redis.cluster import RedisCluster

        return RedisCluster(
            host="localhost", port=self.place.port, password=SECRET, ssl=True, ssl_ca_certs=self.place.ca_file,
            socket_timeout=5,
        )  # fmt: skip


if __name__ == "__main__":
    run(RedisMovedCluster)
