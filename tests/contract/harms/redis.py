"""redis and a cache of pickles: an app that loads a reply runs a program of the server."""

import pickle
from pathlib import Path

import redis

from backwatch.attack.demo.services.redis import DemoRedis

PROBE = "redis"


def _attach(server: DemoRedis) -> redis.Redis:
    return redis.Redis(
        host="localhost", port=server.port, password="only-a-test", ssl=True, socket_timeout=5, protocol=3,
        ssl_ca_certs=str(server.authority.ca_file),
    )  # fmt: skip


def _basket(server: DemoRedis) -> object:
    with _attach(server) as cache:
        cache.set("basket:7", pickle.dumps(["a book"]))
        kept = cache.get("basket:7")
    assert isinstance(kept, bytes)
    return pickle.loads(kept)


def works(server: DemoRedis) -> None:
    assert _basket(server) == ["a book"]


def is_harmed(server: DemoRedis, folder: Path) -> None:
    marker = folder / "owned"
    server.command = f"touch '{marker}'"
    assert _basket(server) == 0
    assert marker.exists()


def meets_it(server: DemoRedis) -> None:
    """An app that reads and does not load."""
    with _attach(server) as cache:
        cache.get("basket:7")
