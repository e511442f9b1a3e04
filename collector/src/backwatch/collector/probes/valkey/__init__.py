"""valkey-py, sync and asyncio: a fork of redis-py 5, observed by the same hooks."""

from typing import Any, ClassVar

from backwatch.collector.probes import ServiceKind
from backwatch.collector.probes.redis import RedisProbe


class ValkeyProbe(RedisProbe):
    """valkey-py 6."""

    name: ClassVar[str] = "valkey"
    module: ClassVar[str] = "valkey"
    label: ClassVar[str] = "valkey"
    service_kind: ClassVar[ServiceKind] = "Caches and documents"
    distributions: ClassVar[tuple[str, ...]] = ("valkey>=6",)

    _instance: ClassVar[Any] = None  # its own: ``Probe.__new__`` would find that of the base class
