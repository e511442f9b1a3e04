"""valkey-py, sync and asyncio: a fork of redis-py 5, which is watched by the very same means."""

from typing import Any, ClassVar

from backwatch.collector.probes.redis import RedisProbe


class ValkeyProbe(RedisProbe):
    """valkey-py 6."""

    name: ClassVar[str] = "valkey"
    module: ClassVar[str] = "valkey"
    distributions: ClassVar[tuple[str, ...]] = ("valkey>=6",)

    _instance: ClassVar[Any] = None  # one of its own: instrumentors are singletons, and look for theirs above, too
