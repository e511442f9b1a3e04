"""Common parts of the SQLite scenarios: the database is a file, so no server turns hostile."""

import sqlite3
from contextlib import closing

from backwatch.attack.authority import Authority
from backwatch.attack.clients.sqlite3 import app_database, other_database
from backwatch.attack.protocols.server import HostileServer, ServerSession

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
        for file in (
            app_database(str(authority.ca_file), self.port),
            other_database(str(authority.ca_file), self.port),
        ):
            with closing(sqlite3.connect(file)) as database, database:
                database.executescript(_SCHEMA)
                database.executemany(
                    "INSERT INTO customers VALUES (?, ?, ?)",
                    [(i, f"customer {i}", f"customer{i}@shop.example") for i in range(1, 41)],
                )
                database.execute("INSERT INTO accounts VALUES (1, 'admin', ?)", (LOOT,))

    def serve(self, session: ServerSession) -> None:
        """Close the connection."""

    def count_customers(self) -> int:
        """Return the number of customers in the app's database."""
        with closing(sqlite3.connect(app_database(str(self.authority.ca_file), self.port))) as database:
            return int(database.execute("SELECT count(*) FROM customers").fetchone()[0])
