"""valkey-py, sync and asyncio: a fork of redis-py 5, observed by the same hooks."""

from typing import Any, ClassVar

from backwatch.collector.probes.redis import RedisProbe


class ValkeyProbe(RedisProbe):
    """valkey-py 6."""

    name = "valkey"
    module = "valkey"
    label = "valkey"
    service_kind = "Caches and documents"
    distributions = ("valkey>=6",)

    _instance: ClassVar[Any] = None  # its own: ``Probe.__new__`` would find that of the base class
