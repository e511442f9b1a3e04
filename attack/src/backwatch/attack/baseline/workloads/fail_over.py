"""A fail-over that the profile announces: another server at another address takes over the name."""

import hashlib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Process, WorkloadConfig, minutely, past, run
from backwatch.attack.baseline.workloads._shop import ShopMySQL, ShopPostgreSQL, ShopWorkload
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import LOOPBACK, HostileServer

OTHER = "127.0.0.2"
"""A loopback address that differs from the first server's."""
_AT_S = 1_500.0


class _NextPostgreSQL(ShopPostgreSQL):
    address = OTHER
    version = "16.9"


class _NextMySQL(ShopMySQL):
    address = OTHER
    version = b"8.4.6-demo"


class _NextRedis(RedisServer):
    address = OTHER


class WithStandby(HostileServer):
    """A service with a standby at the same port of its own address.

    Attributes:
        next: Class of the standby.
        standby: The standby.
    """

    next: ClassVar[Callable[[Authority, int], HostileServer]]

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self.standby = type(self).next(authority, self.port)

    def stop(self) -> None:
        """Stop both servers."""
        super().stop()
        self.standby.stop()

    def fail(self) -> None:
        """Fail over to the standby."""
        super().stop()
        self.standby.start()


class _PostgreSQL(WithStandby, ShopPostgreSQL):
    next = _NextPostgreSQL


class _MySQL(WithStandby, ShopMySQL):
    next = _NextMySQL


class _Redis(WithStandby, RedisServer):
    next = _NextRedis


_FIRST: dict[str, type[WithStandby]] = {
    "psycopg": _PostgreSQL, "psycopg2": _PostgreSQL, "pymysql": _MySQL, "redis": _Redis,
}  # fmt: skip


def _fingerprint(service: HostileServer) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(service.certificate.chain.read_text())).hexdigest()


class FailOver(ShopWorkload):
    """Address, certificate and version change at once, as the profile declared."""

    title = "a fail-over that the profile announces: another address, another certificate, another version"
    naive = "another server answers in the service's name"
    drivers = tuple(_FIRST)
    processes = (Process((past(), minutely(ends_s=_AT_S), minutely("after", 6, _AT_S, 3_600))),)

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._answered_with = LOOPBACK
        self._resolver = socket.getaddrinfo
        # Replaces the name server for all drivers but libpq's, which receive the address: see _sales.
        socket.getaddrinfo = self._resolved

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return the first server."""
        return _FIRST[driver](authority)

    @classmethod
    def announcements(cls, service: HostileServer) -> Mapping[str, Sequence[str]]:
        """Return both servers, as an app's profile lists them from its first day. No other server is trusted."""
        assert isinstance(service, WithStandby)
        facts = {
            "certificates": [_fingerprint(service), _fingerprint(service.standby)], "peers": [LOOPBACK, OTHER],
        }  # fmt: skip
        if isinstance(service, _PostgreSQL):
            return {**facts, "server_versions": [service.version, _NextPostgreSQL.version]}
        if isinstance(service, _MySQL):
            return {**facts, "server_versions": [service.version.decode(), _NextMySQL.version.decode()]}
        return facts

    @classmethod
    def enter(cls, phase: str, service: HostileServer, proceed: Callable[[], None]) -> None:
        """Fail over to the standby, then start the phase."""
        if phase == "after":
            assert isinstance(service, WithStandby)
            service.fail()
        proceed()

    def work(self, phase: str, number: int) -> None:
        """Read and write; after the fail-over on new connections."""
        if phase == "after" and number == 0:
            self._answered_with = OTHER
            self.reconnect()
            self._client = None
        if self.config.driver == "redis":
            self._baskets(number)
        else:
            self._sales(number)

    def _sales(self, number: int) -> None:
        options = {"hostaddr": self._answered_with} if self.config.driver.startswith("psycopg") else {}
        with self.cursor(**options) as cursor:
            cursor.execute(f"SELECT id, total FROM sales WHERE day = {self.one} LIMIT 20", (number,))
            cursor.fetchall()
            cursor.execute(f"UPDATE baskets SET version = version + 1 WHERE id = {self.one}", (number,))

    def _baskets(self, number: int) -> None:
        client = self.redis()
        client.set(f"basket:{number}", "two apples", ex=60)
        client.get(f"basket:{number}")

    def _resolved(self, host: Any, *args: Any, **options: Any) -> Any:
        return partial(self._resolver, self._answered_with if host == "localhost" else host)(*args, **options)


if __name__ == "__main__":
    run(FailOver)
