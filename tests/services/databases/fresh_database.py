"""A database of one test, created without the drivers that probes wrap, so that tests record no extra calls."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Generator
from urllib.parse import urlsplit

from psycopg import pq

from tests.services.process import binary
from tests.services.server import Server


def _name() -> str:
    return f"t_{secrets.token_hex(6)}"


def _url(server: Server, name: str) -> str:
    return urlsplit(server.url)._replace(path=f"/{name}").geturl()


def postgresql_sql(url: str, statement: str) -> None:
    """Run one statement past psycopg's Python layer."""
    connection = pq.PGconn.connect(url.encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            raise ConnectionError(connection.get_error_message())
        result = connection.exec_(statement.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(result.get_error_message())
    finally:
        connection.finish()


def mariadb_sql(server: Server, statement: str) -> None:
    """Run one statement through MariaDB's own client program."""
    command = [binary("mariadb", "mariadb"), "--no-defaults", "--protocol=tcp", f"--host={server.host}",
               f"--port={server.port}", f"--user={server.user}", f"--execute={statement}"]  # fmt: skip
    subprocess.run(
        command, env={**os.environ, "MYSQL_PWD": server.password}, check=True, capture_output=True, timeout=30
    )


@contextlib.contextmanager
def postgresql(server: Server) -> Generator[str]:
    """Yield the URL of a fresh database, dropped at the end even if clients are still connected."""
    name = _name()
    postgresql_sql(server.url, f"create database {name}")
    try:
        yield _url(server, name)
    finally:
        postgresql_sql(server.url, f"drop database {name} with (force)")


@contextlib.contextmanager
def mariadb(server: Server) -> Generator[str]:
    """Yield the URL of a fresh database, dropped at the end."""
    name = _name()
    mariadb_sql(server, f"create database {name} character set utf8mb4")
    try:
        yield _url(server, name)
    finally:
        mariadb_sql(server, f"drop database {name}")
