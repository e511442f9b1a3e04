"""A6: a server shows another certificate that the same authority issued."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class SqlCertificateSwapped(Lookup):
    """The session is verified in full. The attacker has a second certificate of the same authority."""

    code = "A6"
    attack = "shows another certificate of the same authority, and serves its own data"
    reference = "https://attack.mitre.org/techniques/T1649/"
    rule = "certificate-changed"
    runs = (
        Run(PyMySQL), Run(MySQLConnector, "connector"), Run(Psycopg), Run(Asyncpg, "asyncpg"),
        Run(Psycopg2, "psycopg2"),
    )  # fmt: skip

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Serve another certificate and key."""
        service.certificate = service.authority.issue("in the middle")
        super().turn(service)
