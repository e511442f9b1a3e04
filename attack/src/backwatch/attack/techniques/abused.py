"""Services that stay honest and are abused through an app with a hole; what the app sends in its hole, a file each."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import MySQLOfTables, PostgreSQLOfTables
from backwatch.attack.scenarios import Scenario
from backwatch.attack.techniques.mysql import Connector, PyMySQL
from backwatch.attack.techniques.postgresql import Psycopg, Psycopg2


class Abused(Scenario):
    """The attacker comes through the app: nothing is the service's fault."""

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """It goes on as it was."""
        del service


class AbusedPsycopg(Abused, Psycopg):
    """PostgreSQL, through psycopg."""

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with an account that may do everything."""
        return PostgreSQLOfTables(authority)


class AbusedPsycopg2(Abused, Psycopg2):
    """PostgreSQL, through psycopg2."""

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with an account that may do everything."""
        return PostgreSQLOfTables(authority)


class AbusedPyMySQL(Abused, PyMySQL):
    """MySQL, through PyMySQL."""

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with an account that may do everything."""
        return MySQLOfTables(authority)


class AbusedConnector(Abused, Connector):
    """MySQL, through mysql-connector-python."""

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with an account that may do everything."""
        return MySQLOfTables(authority)


def told(cursor: Any) -> list[list[str]]:
    """What a cursor answers, fit for JSON; nothing where there are no rows."""
    return [[str(value) for value in one] for one in cursor.fetchall()] if cursor.description else []


def obeyed(service: HostileServer, words: bytes) -> bool:
    """Whether a statement for administrators with these words has arrived, and was not refused."""
    return any(words in one for one in service.kept)
