"""The demo's attacks: their services, and the rule that must raise an alert for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backwatch.attack.demo.services.http import HTTP
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.demo.services.redis import DemoRedis
from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import HostileServer

INJECTION = "x' OR 1=1 UNION SELECT usename, passwd, '' FROM pg_shadow -- "
BULK_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack.

    Attributes:
        title: Title to display.
        rule: Rule that must raise an alert.
        system: Kind of service.
        also: Rules that may rightly raise an alert on the same service because of it.
        begin: Starts the attack.
        end: Restores the service.
    """

    title: str
    rule: str
    system: str
    also: frozenset[str] = frozenset()
    begin: Callable[[], None]
    end: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of the shop, with their attacks."""

    mysql: MySQL
    postgresql: PostgreSQL
    smtp: SMTP
    redis: DemoRedis
    http: HTTP

    @property
    def servers(self) -> Sequence[HostileServer]:
        """Return all services."""
        return (self.mysql, self.postgresql, self.smtp, self.redis, self.http)

    def attacks(self, search: Callable[[str], None]) -> Sequence[Attack]:
        """Return the attacks, in order.

        Args:
            search: Enters a text into the shop's search box.
        """
        original = self.http.certificate

        def swap_certificate() -> None:
            self.http.certificate = self.http.authority.issue("another service")
            self.http.drop()

        def restore_certificate() -> None:
            self.http.certificate = original
            self.http.drop()

        def set_rows(count: int) -> None:
            self.postgresql.rows = count

        def turn(server: HostileServer, system: str, *also: str) -> Attack:
            return Attack(
                title=f"{type(server).__name__} {server.attack}", rule=server.rule, system=system,
                also=frozenset(also), begin=server.turn, end=server.repent,
            )  # fmt: skip

        return (
            turn(self.mysql, "mysql"),
            turn(self.postgresql, "postgresql", "plaintext-session", "unverified-session"),
            turn(self.smtp, "smtp", "plaintext-session", "unverified-session"),
            turn(self.redis, "redis"),
            turn(self.http, "http"),
            Attack(
                title="HTTP API shows another certificate", rule="certificate-changed", system="http",
                begin=swap_certificate, end=restore_certificate,
            ),
            Attack(
                title="A visitor injects SQL into the shop's search", rule="query-attack", system="postgresql",
                also=frozenset({"unusual-query", "credential-table-read"}),
                begin=lambda: search(INJECTION), end=lambda: None,
            ),
            Attack(
                title=f"An ordinary query answers with {BULK_ROWS:,} rows", rule="bulk-read", system="postgresql",
                begin=lambda: set_rows(BULK_ROWS), end=lambda: set_rows(PostgreSQL.rows),
            ),
        )  # fmt: skip
