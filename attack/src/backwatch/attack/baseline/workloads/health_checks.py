"""Health checks and metrics: the same small queries day and night. One day an exporter is attached."""

from collections.abc import Callable
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Process, minutely, past, run
from backwatch.attack.baseline.workloads._shop import ShopWorkload
from backwatch.attack.protocols.http import Web
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.mongodb import MongoDB
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import HostileServer

_SERVICES: dict[str, Callable[[Authority], HostileServer]] = {
    "redis": RedisServer, "pymemcache": Memcached, "pymongo": MongoDB, "requests": Web,
}  # fmt: skip


class HealthChecks(ShopWorkload):
    """``SELECT 1`` and ``PING`` all the time; ``INFO`` and ``SHOW STATUS`` after an exporter was attached."""

    title = "SELECT 1 and PING all day long, then an exporter that reads the server's status every minute"
    naive = "requests for the server's status begin"
    drivers = ("psycopg2", "pymemcache", "pymongo", "pymysql", "redis", "requests")
    processes = (Process((past(), minutely())), Process((minutely("exporter", 6, 1_200, 3_600),)))

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return an honest service for the driver."""
        service = _SERVICES.get(driver)
        return service(authority) if service else super().service(driver, authority)

    def work(self, phase: str, number: int) -> None:
        """Run a check and some work, or the exporter's queries."""
        kind = "sql" if self.config.driver in ("psycopg2", "pymysql") else self.config.driver
        getattr(self, f"_{'status' if phase == 'exporter' else 'check'}_{kind}")(number)

    def _check_sql(self, number: int) -> None:
        with self.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
            cursor.execute("SELECT id, goods FROM baskets WHERE id = %s", (number % 20,))
            cursor.fetchall()

    def _status_sql(self, number: int) -> None:
        del number
        statements = ("SHOW GLOBAL STATUS", "SHOW GLOBAL VARIABLES")
        if self.config.driver == "psycopg2":
            statements = ("SELECT datname, numbackends FROM pg_stat_database", "SELECT 1")
        with self.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall()

    def _check_redis(self, number: int) -> None:
        client = self.redis()
        client.ping()
        client.set(f"basket:{number % 3}", "two apples", ex=60)
        client.get(f"basket:{number % 5}")

    def _status_redis(self, number: int) -> None:
        del number
        self.redis().info()
        self.redis().slowlog_len()

    def _pymemcache(self) -> Any:
        import ssl

        from pymemcache.client.base import Client

        if self._client is None:
            context = ssl.create_default_context(cafile=self.config.ca_file)
            open_client: Any = Client
            self._client = open_client(
                ("localhost", self.config.port), tls_context=context, connect_timeout=5, timeout=5
            )
        return self._client

    def _check_pymemcache(self, number: int) -> None:
        client = self._pymemcache()
        client.version()
        client.set("basket:7", f"{number} apples", expire=60)
        client.get("basket:7")

    def _status_pymemcache(self, number: int) -> None:
        del number
        self._pymemcache().stats("settings")

    def _pymongo(self) -> Any:
        import pymongo

        if self._client is None:
            self._client = pymongo.MongoClient(
                "localhost", self.config.port, tls=True, tlsCAFile=self.config.ca_file, directConnection=True,
                serverSelectionTimeoutMS=5000,
            )  # fmt: skip
        return self._client

    def _check_pymongo(self, number: int) -> None:
        self._pymongo().admin.command("ping")
        list(self._pymongo()["shop"]["baskets"].find({"_id": number % 20}))

    def _status_pymongo(self, number: int) -> None:
        del number
        self._pymongo().admin.command("serverStatus")

    def _check_requests(self, number: int) -> None:
        self._get("/health")
        self._get(f"/rates/{number}")

    def _status_requests(self, number: int) -> None:
        del number
        import requests

        requests.get(f"https://localhost:{self.config.port}/metrics", timeout=5, verify=self.config.ca_file)

    def _get(self, path: str) -> None:
        import requests

        if self._client is None:
            self._client = requests.Session()
        self._client.get(f"https://localhost:{self.config.port}{path}", timeout=5, verify=self.config.ca_file)


if __name__ == "__main__":
    run(HealthChecks)
