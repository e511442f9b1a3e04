"""A certificate renewed by its own authority some weeks before it expires. Name stays, key changes."""

from collections.abc import Callable

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Process, minutely, once, past, run
from backwatch.attack.baseline.workloads._scenario import ScenarioWorkload
from backwatch.attack.protocols.server import HostileServer

LEFT_DAYS = 20


class CertificateRenewal(ScenarioWorkload):
    """Key pinning would raise an alert. Issuer, old expiry and full verification show that it is legitimate."""

    title = "a certificate is renewed by the same issuer, on another key, three weeks before the old one's end"
    naive = "the service shows a certificate that it never showed"
    drivers = ("asyncpg", "pika", "psycopg2", "pymysql", "redis", "requests", "smtplib")
    processes = (
        Process((past(), minutely(ends_s=1_800), once("renewed", 1, 1_800, 60), minutely("after", 6, 1_860, 3_600))),
    )

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return a service whose certificate expires soon."""
        service = super().service(driver, authority)
        service.certificate = authority.issue(f"{service.name} service", days=LEFT_DAYS)
        return service

    @classmethod
    def enter(cls, phase: str, service: HostileServer, proceed: Callable[[], None]) -> None:
        """Reload the server with the new certificate."""
        if phase == "renewed":
            service.certificate = service.authority.issue(f"{service.name} service")
            service.drop()
        proceed()


if __name__ == "__main__":
    run(CertificateRenewal)
