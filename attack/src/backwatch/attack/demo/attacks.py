"""The demo's attacks: their services, and the rule that must raise an alert for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backwatch.attack.demo.services.http import HTTP
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.demo.services.redis import Redis
from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import HostileServer

INJECTION = "x' OR 1=1 UNION SELECT usename, passwd, '' FROM pg_shadow -- "
BULK_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
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
class Cast:
    """The services of the shop, with their attacks."""

    mysql: MySQL
    postgresql: PostgreSQL
    smtp: SMTP
    redis: Redis
    http: HTTP

    @property
    def servers(self) -> Sequence[HostileServer]:
        """Return all services."""
        return (self.mysql, self.postgresql, self.smtp, self.redis, self.http)

    def acts(self, visitor_types: Callable[[str], None]) -> Sequence[Act]:
        """Return the attacks, in order.

        Args:
            visitor_types: Enters a text into the shop's search box.
        """
        usual = self.http.certificate

        def show_another() -> None:
            self.http.certificate = self.http.authority.issue("another service")
            self.http.drop()

        def show_the_usual() -> None:
            self.http.certificate = usual
            self.http.drop()

        def open_the_gates() -> None:
            self.postgresql.rows = BULK_ROWS

        def close_the_gates() -> None:
            self.postgresql.rows = PostgreSQL.rows

        def nothing() -> None:
            return

        def turns(server: HostileServer, system: str, *also: str) -> Act:
            return Act(
                title=f"{type(server).__name__} {server.attack}", rule=server.rule, system=system,
                also=frozenset(also), begin=server.turn, end=server.repent,
            )  # fmt: skip

        return (
            turns(self.mysql, "mysql"),
            turns(self.postgresql, "postgresql", "plaintext-session", "unverified-session"),
            turns(self.smtp, "smtp", "plaintext-session", "unverified-session"),
            turns(self.redis, "redis"),
            turns(self.http, "http"),
            Act(
                title="HTTP API shows another certificate", rule="certificate-changed", system="http",
                begin=show_another, end=show_the_usual,
            ),
            Act(
                title="A visitor injects SQL into the shop's search", rule="query-attack", system="postgresql",
                also=frozenset({"unusual-query", "credential-table-read"}),
                begin=lambda: visitor_types(INJECTION), end=nothing,
            ),
            Act(
                title=f"An ordinary query answers with {BULK_ROWS:,} rows", rule="bulk-read", system="postgresql",
                begin=open_the_gates, end=close_the_gates,
            ),
        )  # fmt: skip
