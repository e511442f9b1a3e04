"""C1 on redis and valkey, in a cluster client: one node replies MOVED. The client logs in at that address."""

from backwatch.attack.authority import Authority
from backwatch.attack.clients.redis import RedisCluster, ValkeyCluster
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.redis_moved import MovingRedis


class RedisMovedCluster(RedisMoved):
    """The cluster client accepts any host that MOVED names as a node."""

    attack = "answers with MOVED to a host that is no node, which is sent the password and the keys"
    notices = "nothing"
    runs = (Run(RedisCluster), Run(ValkeyCluster))

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that its clients know by address, as cluster nodes are."""
        service = MovingRedis(authority)
        service.record()
        service.target = b"localhost"
        return service
