"""Health checks and metrics: the same small questions day and night, and an exporter that is attached one day."""

from collections.abc import Callable
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.entries import SECRET
from backwatch.attack.scenes import Place, Process, minutely, past, run
from backwatch.attack.scenes._shop import ShopScene
from backwatch.attack.servers import HostileServer
from backwatch.attack.speakers.http import Web
from backwatch.attack.speakers.memcached import Memcached
from backwatch.attack.speakers.mongodb import MongoDB
from backwatch.attack.speakers.redis import RedisServer

_SPEAKERS: dict[str, Callable[[Authority], HostileServer]] = {
    "redis": RedisServer, "pymemcache": Memcached, "pymongo": MongoDB, "requests": Web,
}  # fmt: skip


class HealthChecks(ShopScene):
    """``SELECT 1`` and ``PING`` all the time; ``INFO`` and ``SHOW STATUS`` since an exporter was attached."""

    title = "SELECT 1 and PING all day long, then an exporter that reads the server's status every minute"
    naive = "somebody begins to ask the server about itself"
    drivers = ("psycopg2", "pymemcache", "pymongo", "pymysql", "redis", "requests")
    processes = (Process((past(), minutely(ends_s=1_200), minutely("exporter", 6, 1_200, 3_600))),)

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._client: Any = None

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """An honest one of the driver's kind."""
        made = _SPEAKERS.get(driver)
        return made(authority) if made else super().service(driver, authority)

    def work(self, spell: str, number: int) -> None:
        """A check, and some work."""
        check = getattr(self, f"_{self.place.driver}")
        check(number, status=spell == "exporter")

    def _psycopg2(self, number: int, *, status: bool) -> None:
        with self.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
            cursor.execute("SELECT id, goods FROM baskets WHERE id = %s", (number % 20,))
            cursor.fetchall()
        if status:
            with self.cursor() as cursor:
                cursor.execute("SELECT datname, numbackends FROM pg_stat_database")
                cursor.fetchall()

    def _pymysql(self, number: int, *, status: bool) -> None:
        with self.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
            cursor.execute("SELECT id, goods FROM baskets WHERE id = %s", (number % 20,))
            cursor.fetchall()
        if status:
            with self.cursor() as cursor:
                cursor.execute("SHOW GLOBAL STATUS")
                cursor.fetchall()
                cursor.execute("SHOW GLOBAL VARIABLES")

    def _redis(self, number: int, *, status: bool) -> None:
        import redis

        if self._client is None:
            self._client = redis.Redis(
                host="localhost", port=self.place.port, password=SECRET, ssl=True, ssl_ca_certs=self.place.ca_file,
                socket_timeout=5,
            )  # fmt: skip
        self._client.ping()
        self._client.set(f"basket:{number % 3}", "two apples", ex=60)
        self._client.get(f"basket:{number % 5}")
        if status:
            self._client.info()
            self._client.slowlog_len()

    def _pymemcache(self, number: int, *, status: bool) -> None:
        import ssl

        from pymemcache.client.base import Client

        if self._client is None:
            context = ssl.create_default_context(cafile=self.place.ca_file)
            made: Any = Client
            self._client = made(("localhost", self.place.port), tls_context=context, connect_timeout=5, timeout=5)
        self._client.version()
        self._client.set("basket:7", f"{number} apples", expire=60)
        self._client.get("basket:7")
        if status:
            self._client.stats("settings")

    def _pymongo(self, number: int, *, status: bool) -> None:
        import pymongo

        if self._client is None:
            self._client = pymongo.MongoClient(
                "localhost", self.place.port, tls=True, tlsCAFile=self.place.ca_file, directConnection=True,
                serverSelectionTimeoutMS=5000,
            )  # fmt: skip
        self._client.admin.command("ping")
        list(self._client["shop"]["baskets"].find({"_id": number % 20}))
        if status:
            self._client.admin.command("serverStatus")

    def _requests(self, number: int, *, status: bool) -> None:
        import requests

        if self._client is None:
            self._client = requests.Session()
        url = f"https://localhost:{self.place.port}"
        self._client.get(f"{url}/health", timeout=5, verify=self.place.ca_file)
        self._client.get(f"{url}/rates/{number}", timeout=5, verify=self.place.ca_file)
        if status:
            self._client.get(f"{url}/metrics", timeout=5, verify=self.place.ca_file)


if __name__ == "__main__":
    run(HealthChecks)
