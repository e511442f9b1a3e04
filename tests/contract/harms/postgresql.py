"""psycopg with sslmode=prefer against a server without TLS: the password goes out in plaintext."""

from pathlib import Path
from typing import Any

import psycopg

from backwatch.attack.demo.services.postgresql import PostgreSQL

PROBE = "psycopg"
PASSWORD = "only-a-test"


def _attach(server: PostgreSQL, **more: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    return psycopg.connect(
        host="localhost", port=server.port, user="shop", password=PASSWORD, dbname="shop", gssencmode="disable",
        connect_timeout=5, autocommit=True, **more,
    )  # fmt: skip


def _customers(connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
    return len(connection.execute("SELECT id, name, mail FROM customers WHERE name = %s", ("Ada",)).fetchall())


def works(server: PostgreSQL) -> None:
    with _attach(server, sslmode="verify-full", sslrootcert=str(server.authority.ca_file)) as connection:
        assert connection.pgconn.ssl_in_use
        assert _customers(connection) == server.rows


def is_harmed(server: PostgreSQL, folder: Path) -> None:
    taken: list[bytes] = []
    server.on_leak = taken.append
    with _attach(server, sslmode="prefer") as connection:
        assert not connection.pgconn.ssl_in_use
        assert _customers(connection) == server.rows
    assert taken == [PASSWORD.encode()]


def meets_it(server: PostgreSQL) -> None:
    """An app that only prefers TLS."""
    with _attach(server, sslmode="prefer") as connection:
        _customers(connection)
