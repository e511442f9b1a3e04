"""valkey-py, which speaks to Redis too. It is taken for URLs of Valkey."""

from typing import ClassVar

from backwatch.resource.systems.redis import RedisDriver


class ValkeyPy(RedisDriver):
    """Clients of ``valkey`` and ``valkey.asyncio``."""

    module: ClassVar = "valkey"
    system: ClassVar = "valkey"
    schemes: ClassVar = ("valkey", "valkeys")
    rank: ClassVar = 10
    plain_scheme: ClassVar = "valkey"
    client_class: ClassVar = "Valkey"
    cluster_class: ClassVar = "ValkeyCluster"
