"""Redis as a cache, a lock, a queue and a counter; an exporter is attached one day."""

import contextlib
from typing import Any

from backwatch.attack.baseline.workloads import Process, WorkloadConfig, minutely, past, run
from tests.system.quiet_scenes.real import RealScene


class CacheWork(RealScene):
    """Misses, expiry, pipelines, lost races, streams and messages."""

    title = "cache misses, pipelines, WATCH that fails, a stream with a group, pub/sub, SCAN, then INFO each minute"
    naive = "the server is asked about itself, and transactions fail"
    drivers = ("redis",)
    processes = (Process((past(), minutely())), Process((minutely("exporter", 6, 1_800, 3_600),)))

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        import redis

        server = self.server("redis")
        self._prefix = server["database"]
        self._redis: Any = redis.Redis(
            host=server["host"], port=server["port"], username=server["user"], password=server["password"], ssl=True,
            ssl_ca_certs=server["ca_file"], socket_timeout=60, decode_responses=True,
        )  # fmt: skip

    def work(self, phase: str, number: int) -> None:
        """Run one round of all, or an exporter's requests."""
        if phase == "exporter":
            self._status()
            return
        self._cache(number)
        self._race()
        self._queue(number)
        for _ in self._redis.scan_iter(f"{self._prefix}*", count=20):
            pass

    def _status(self) -> None:
        self._redis.info()
        self._redis.slowlog_len()

    def _cache(self, number: int) -> None:
        key = f"{self._prefix}basket:{number % 4}"
        if self._redis.get(key) is None:
            self._redis.set(key, "two apples", ex=60)
        with self._redis.pipeline() as pipe:
            pipe.incr(f"{self._prefix}visits").expire(f"{self._prefix}visits", 60)
            pipe.hset(f"{self._prefix}visitor", "name", "Ada")
            pipe.execute()
        if number % 3 == 0:
            self._redis.delete(key)

    def _race(self) -> None:
        import redis

        stock = f"{self._prefix}stock"
        with self._redis.pipeline() as pipe:
            pipe.watch(stock)
            self._redis.incr(stock)
            pipe.multi()
            pipe.set(stock, 1)
            try:
                pipe.execute()
            except redis.WatchError:
                self._redis.get(stock)

    def _queue(self, number: int) -> None:
        import redis

        stream = f"{self._prefix}orders"
        with contextlib.suppress(redis.ResponseError):  # it is there already
            self._redis.xgroup_create(stream, "workers", mkstream=True)
        self._redis.xadd(stream, {"order": number}, maxlen=100)
        for _, entries in self._redis.xreadgroup("workers", "worker", {stream: ">"}, count=5) or []:
            self._redis.xack(stream, "workers", *[entry for entry, _ in entries])
        with self._redis.pubsub() as server:
            server.subscribe(f"{self._prefix}news")
            self._redis.publish(f"{self._prefix}news", f"order {number}")
            for _ in range(2):
                server.get_message(timeout=0.2)


if __name__ == "__main__":
    run(CacheWork)
