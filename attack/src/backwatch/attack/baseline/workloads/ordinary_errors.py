"""Everyday errors: duplicates, missing rows, time-outs, retries, and lost races."""

import time

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Process, WorkloadConfig, minutely, past, run
from backwatch.attack.baseline.workloads._errors import BusyRedis, BusyWeb
from backwatch.attack.baseline.workloads._shop import ShopWorkload
from backwatch.attack.protocols.server import HostileServer


class OrdinaryErrors(ShopWorkload):
    """The app catches each error and goes on. Some calls are slow now and then."""

    title = "duplicates, missing rows, a time-out and its retry, lost races, cache misses, a slow answer now and then"
    naive = "calls fail, and some take a hundred times as long as usual"
    drivers = ("httpx", "mysql.connector", "psycopg", "psycopg2", "pymysql", "redis", "requests", "sqlite3")
    processes = (Process((past(8), minutely(rounds=8))),)

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._made = 1_000 if config.driver != "sqlite3" else 0

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return an honest service for the driver that is busy now and then."""
        if driver in ("httpx", "requests"):
            return BusyWeb(authority)
        return BusyRedis(authority) if driver == "redis" else super().service(driver, authority)

    def work(self, phase: str, number: int) -> None:
        """Do a round with errors."""
        if self.config.driver == "redis":
            self._raced(number)
        elif self.config.driver in ("httpx", "requests"):
            self._asked(number)
        else:
            self._registered(number)
            self._found(number)
            self._bought(number)
            if number % 4 == 1:
                self._reported(1.2 if phase == "past" else 1.6)

    def _registered(self, number: int) -> None:
        """Register visitors, of whom every other one exists already."""
        statement = f"INSERT INTO baskets (id, customer, goods) VALUES ({self.placeholders(3)})"
        self._made += number % 2
        with self.cursor() as cursor:
            try:
                cursor.execute(statement, (self._made + 1_000, "customer 3", "pears"))
            except Exception as error:  # the driver's own exception, of any class
                if "Integrity" not in type(error).__name__ and "Unique" not in type(error).__name__:
                    raise

    def _found(self, number: int) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"SELECT id, goods FROM baskets WHERE id = {self.one}", (number * 900,))
            cursor.fetchall()

    def _bought(self, number: int) -> None:
        """Buy goods. If another client has changed the row, retry."""
        statement = f"UPDATE baskets SET version = version + 1 WHERE id = {self.one} AND version = {self.one}"
        with self.cursor() as cursor:
            cursor.execute(statement, (number % 20, 99))
            cursor.execute(statement, (number % 20, 0))

    def _reported(self, seconds: float) -> None:
        """Run a slow report."""
        with self.cursor() as cursor:
            cursor.execute(f"SELECT counted(id, {self.one}) FROM baskets WHERE id = 3", (seconds,))
            cursor.fetchall()

    def _raced(self, number: int) -> None:
        import redis

        client = self.redis(timeout_s=0.3)
        if client.get(f"basket:{number}") is None:
            client.set(f"basket:{number}", "two apples", ex=60)
        with client.pipeline() as pipe:
            pipe.watch("stock:apples")
            pipe.multi()
            pipe.set("stock:apples", number)
            try:
                pipe.execute()
            except redis.WatchError:
                client.get("stock:apples")
        if number % 4 == 1:
            try:
                client.get("busy")
            except redis.RedisError:
                client.get("basket:1")

    def _asked(self, number: int) -> None:
        url = f"https://localhost:{self.config.port}"
        for path in ("/goods/7", "/goods/none", "/rates"):
            self._get(url + path)
        if number % 4 == 1:
            try:
                self._get(url + "/busy")
            except Exception as error:  # the library's own exception, of any class
                if "Timeout" not in type(error).__name__:
                    raise
                time.sleep(0.05)
                self._get(url + "/rates")

    def _get(self, url: str) -> int:
        if self.config.driver == "requests":
            import requests

            if self._client is None:
                self._client = requests.Session()
            return self._client.get(url, timeout=0.4, verify=self.config.ca_file).status_code
        if self._client is None:
            import ssl

            import httpx

            self._client = httpx.Client(verify=ssl.create_default_context(cafile=self.config.ca_file))
        return self._client.get(url, timeout=0.4).status_code


if __name__ == "__main__":
    run(OrdinaryErrors)
