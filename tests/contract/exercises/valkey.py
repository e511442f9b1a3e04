"""Typical calls of an app that uses valkey-py: those of redis-py, and some to a real Valkey."""

from collections.abc import Callable
from typing import Any

import valkey

from tests.contract.exercises import redis

SERVICES = (*redis.SERVICES, "valkey_server")


def calls(services: dict[str, Any]) -> list[object]:
    server = services["valkey_server"]
    with valkey.Valkey(host=server.host, port=server.port, protocol=3) as client:
        seen: list[object] = [client.set("exercise:a", 1), client.get("exercise:a"), bool(client.info())]
    return [*seen, *redis.calls(services, valkey)]


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    return redis.failures(services, valkey)
