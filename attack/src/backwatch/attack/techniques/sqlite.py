"""Common parts of the SQLite scenarios: the database is a file, so no server turns hostile."""

import sqlite3
from pathlib import Path

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import AppConfig, Scenario

LOOT = "$2b$12$of.an.administrator"
_SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, mail TEXT);
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT, password TEXT);
"""


class DatabaseFile(HostileServer):
    """Owns the app's database and another app's, which the app must not read. Its port serves nothing."""

    name = "sqlite"
    attack = reference = driver = rule = ""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        for file in (own(str(authority.ca_file), self.port), neighbours(str(authority.ca_file), self.port)):
            with sqlite3.connect(file) as database:
                database.executescript(_SCHEMA)
                database.executemany(
                    "INSERT INTO customers VALUES (?, ?, ?)",
                    [(i, f"customer {i}", f"customer{i}@shop.example") for i in range(1, 41)],
                )
                database.execute("INSERT INTO accounts VALUES (1, 'admin', ?)", (LOOT,))
            database.close()

    def serve(self, session: Session) -> None:
        """Close the connection."""

    def left(self) -> int:
        """Return the number of customers in the app's database."""
        database = sqlite3.connect(own(str(self.authority.ca_file), self.port))
        (count,) = database.execute("SELECT count(*) FROM customers").fetchone()
        database.close()
        return int(count)


def own(ca_file: str, port: int) -> Path:
    """Return the file of the app's database."""
    return Path(ca_file).parent / f"shop-{port}.db"


def neighbours(ca_file: str, port: int) -> Path:
    """Return the file of another app's database."""
    return Path(ca_file).parent / f"wages-{port}.db"


class SQLiteApp(Scenario):
    """An app on sqlite3, which comes with Python."""

    driver = "sqlite3"

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.connection = sqlite3.connect(own(config.ca_file, config.port), isolation_level=None)
        self.other = neighbours(config.ca_file, config.port)

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the file's owner."""
        return DatabaseFile(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the file unchanged. The attacker comes through the app."""
        del service
