"""pymysql against a server that requests a file: a client with LOCAL INFILE sends it."""

import ssl
from pathlib import Path

import pymysql

from backwatch.attack.demo.services.mysql import MySQL

PROBE = "pymysql"


def _attach(server: MySQL, *, local_infile: bool) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    ca_file = str(server.authority.ca_file)
    return pymysql.connect(
        host="localhost", port=server.port, user="shop", password="only-a-test", database="shop", ssl_ca=ca_file,
        ssl=ssl.create_default_context(cafile=ca_file), ssl_verify_cert=True, ssl_verify_identity=True, autocommit=True,
        local_infile=local_infile, connect_timeout=5, read_timeout=5,
    )  # fmt: skip


def _orders(connection: "pymysql.Connection[pymysql.cursors.Cursor]") -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, customer, total FROM orders WHERE customer = %s", ("customer 3",))
        return len(cursor.fetchall())


def works(server: MySQL) -> None:
    with _attach(server, local_infile=True) as connection:
        assert isinstance(connection._sock, ssl.SSLSocket)  # type: ignore[attr-defined]
        assert _orders(connection) == server.rows


def is_harmed(server: MySQL, folder: Path) -> None:
    secret = folder / "key.pem"
    secret.write_bytes(b"the app's own secret\n" * 5_000)
    taken: list[bytes] = []
    server.wanted, server.on_leak = bytes(secret), taken.append
    with _attach(server, local_infile=True) as connection:
        _orders(connection)
    assert b"".join(taken) == secret.read_bytes()


def meets_it(server: MySQL) -> None:
    """An app that does not allow it, and still sends the query."""
    with _attach(server, local_infile=False) as connection:
        _orders(connection)
