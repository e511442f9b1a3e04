"""Typical calls of an app that uses redis-py, sync and asyncio, over verified TLS."""

import asyncio
import importlib
import os
import pickle
from collections.abc import Callable
from typing import Any

import redis

from tests.services.databases.redis_sentinel import MASTER

SERVICES = ("redis_server", "redis_cluster", "redis_sentinel")
MOVED = "return redis.error_reply('MOVED 3999 10.0.0.7:6381')"


class Bomb:
    """A hostile cache's payload; it is never loaded here."""

    def __reduce__(self) -> Any:
        return vars(os)["system"], ("false",)


def calls(services: dict[str, Any], library: Any = redis) -> list[object]:
    url = services["redis_server"].tls_url
    return [*_in_turn(library, url), *asyncio.run(_asynchronously(library, url)), *_by_name(library, services)]


def _by_name(library: Any, services: dict[str, Any]) -> list[object]:
    """A cluster and a Sentinel report the addresses of nodes."""
    cluster, sentinel = services["redis_cluster"], services["redis_sentinel"]
    seen: list[object] = []
    with library.RedisCluster(host=cluster.host, port=cluster.port) as client:
        seen.append([client.set("exercise:a", 1), client.set("exercise:b", 2), client.get("exercise:a")])
    asked = library.Sentinel([(sentinel.host, sentinel.port)])
    with asked.master_for(MASTER) as client:
        seen.append([client.set("exercise:a", 1), client.get("exercise:a")])
    return seen


def _in_turn(library: Any, url: str) -> list[object]:
    seen: list[object] = []
    with library.Redis.from_url(url) as client:
        seen.append(client.set("exercise:a", 1, ex=60))
        seen.append(client.get("exercise:a"))
        seen.append(client.set("exercise:bomb", b"!" + pickle.dumps(Bomb()), ex=60))
        seen.append(client.get("exercise:bomb"))
        seen.append(client.delete("exercise:list"))
        seen.append(client.rpush("exercise:list", "a", "b", "c"))
        seen.append(client.lrange("exercise:list", 0, -1))
        seen.append(client.config_set("timeout", "0"))
        seen.append(bool(client.info()))
        with client.pipeline() as pipeline:
            pipeline.set("exercise:a", 2)
            pipeline.get("exercise:a")
            pipeline.lrange("exercise:list", 0, -1)
            seen.append(pipeline.execute())
        with client.pipeline(transaction=False) as pipeline:
            pipeline.set("exercise:a", 3)
            pipeline.lpush("exercise:a", 1)
            seen.append([str(one) for one in pipeline.execute(raise_on_error=False)])
        try:
            client.eval(MOVED, 0)
        except library.RedisError as error:
            seen.append(str(error))
        seen.append(list(client.scan_iter("exercise:none*")))
        with client.pubsub() as subscription:
            subscription.subscribe("exercise:channel")
            seen.append(subscription.get_message(timeout=5))
            seen.append(client.publish("exercise:channel", "hello"))
            seen.append(subscription.get_message(timeout=5))
            seen.append(subscription.get_message(timeout=0.01))
    return seen


async def _asynchronously(library: Any, url: str) -> list[object]:
    seen: list[object] = []
    client = _client(library).from_url(url, decode_responses=True)
    seen.append(await client.set("exercise:b", 1, ex=60))
    seen.append(await asyncio.gather(*(client.get("exercise:b") for _ in range(4))))
    async with client.pipeline() as pipeline:
        pipeline.set("exercise:b", 2)
        pipeline.get("exercise:b")
        seen.append(await pipeline.execute())
    async with client.pubsub() as subscription:
        await subscription.subscribe("exercise:async")
        seen.append(await subscription.get_message(timeout=5))
        seen.append(await client.publish("exercise:async", "hello"))
        seen.append(await subscription.get_message(timeout=5))
        seen.append(await subscription.get_message(timeout=0.01))
    try:
        await client.lpush("exercise:b", 1)
    except library.RedisError as error:
        seen.append(str(error))
    await getattr(client, "aclose", client.close)()  # since 5.0.1
    return seen


def _client(library: Any) -> Any:
    """The asyncio client; it has the same name, and in old versions of valkey-py no other."""
    return getattr(library.asyncio, library.Redis.__name__)


def _never(root: str, world: str) -> Any:
    backoff = importlib.import_module(f"{root}.backoff").NoBackoff()
    return importlib.import_module(f"{world}.retry").Retry(backoff, 0)


def failures(services: dict[str, Any], library: Any = redis) -> list[Callable[[], object]]:
    server = services["redis_server"]
    once: dict[str, Any] = {"retry": _never(library.__name__, library.__name__)}

    never = _never(library.__name__, f"{library.__name__}.asyncio")

    def plain() -> Any:
        return library.Redis(host=server.host, port=server.port, **once)

    async def asynchronous(**options: Any) -> None:
        async with _client(library)(host=server.host, retry=never, **options) as client:
            await client.execute_command("NO SUCH COMMAND")

    def aborted() -> object:
        with plain().pipeline() as pipeline:
            pipeline.set("exercise:a", 1)
            pipeline.execute_command("NO SUCH COMMAND")
            return pipeline.execute()

    return [
        lambda: library.Redis(host=server.host, port=server.port, username="app", password="wrong", **once).ping(),
        lambda: library.Redis(host=server.host, port=server.tls_port, ssl=True, **once).ping(),
        lambda: library.Redis(host=server.host, port=1, **once).ping(),
        lambda: library.Redis(unix_socket_path="/nowhere", **once).ping(),
        lambda: library.Redis(host=server.host, port=server.port, db=999, **once).ping(),
        lambda: plain().execute_command("NO SUCH COMMAND"),
        lambda: plain().execute_command("SET", object(), 1),
        lambda: plain().execute_command(),
        lambda: plain().eval("return redis.error_reply('WRONGTYPE no')", 0),
        lambda: library.Redis(host=server.host, port=server.port, socket_timeout=0.05, **once).blpop(
            ["exercise:none"], 2
        ),
        aborted,
        lambda: asyncio.run(asynchronous(port=server.port)),
        lambda: asyncio.run(asynchronous(port=1)),
        lambda: asyncio.run(asynchronous(port=server.tls_port, ssl=True)),
        lambda: asyncio.run(asynchronous(port=server.port, username="app", password="wrong")),
    ]
