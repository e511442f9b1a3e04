"""Django's cache on Redis, attached. A server that answers with a pickle runs nothing: values are JSON."""

import json
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.core.serializers.json import DjangoJSONEncoder

from backwatch.resource.attach import attach


class JsonSerializer:
    """Numbers as they are, so that they can be counted up; everything else as JSON."""

    def dumps(self, value: Any) -> int | bytes:
        """Return what is stored.

        Raises:
            TypeError: The value is neither a JSON type nor a date, time, decimal or UUID, which are stored as text.
        """
        return value if type(value) is int else json.dumps(value, cls=DjangoJSONEncoder).encode()

    def loads(self, data: Any) -> Any:
        """Return the value.

        Raises:
            ValueError: The server's answer is no JSON.
        """
        try:
            return int(data)
        except ValueError:
            return json.loads(data)


class AttachedCacheClient(RedisCacheClient):
    """Takes the name of a config variable where Django's takes a URL."""

    def __init__(self, servers: Any, serializer: Any = None, **options: Any) -> None:
        super().__init__(servers, serializer=serializer or JsonSerializer, **options)

    def _get_connection_pool(self, write: bool) -> Any:
        index = self._get_connection_pool_index(write)
        if index not in self._pools:
            self._pools[index] = attach(self._servers[index]).pool()
        return self._pools[index]


class AttachedCache(RedisCache):
    """``BACKEND`` of ``attach_cache``."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = AttachedCacheClient
