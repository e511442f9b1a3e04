"""redis-py, which speaks to Valkey too."""

from typing import ClassVar

from backwatch.resource.systems.redis import RedisDriver


class RedisPy(RedisDriver):
    """Clients of ``redis`` and ``redis.asyncio``."""

    module: ClassVar = "redis"
    system: ClassVar = "redis"
    schemes: ClassVar = ("redis", "rediss", "valkey", "valkeys")
    rank: ClassVar = 20
    plain_scheme: ClassVar = "redis"
    client_class: ClassVar = "Redis"
    cluster_class: ClassVar = "RedisCluster"
