"""Typical calls of an app that uses Cassandra: prepared statements, batches, pages, over TLS with a password."""

import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
from cassandra.connection import Connection
from cassandra.query import BatchStatement, SimpleStatement

SERVICES = ("cassandra_node",)
KEYSPACE = "contract"

# cassandra-driver 3.30.1 forgets a segment's header that one read ends in ("CRC mismatch on header"), which with reads
# of 4 KiB happens now and then to an app that reads a schema.
Connection.in_buffer_size = 1 << 20


@contextmanager
def cluster_of(server: Any, *, tls: bool = True, **changes: Any) -> Generator[Any]:
    context = ssl.create_default_context(cafile=server.ca_file) if tls else None
    login = PlainTextAuthProvider(server.user, changes.pop("password", server.password))
    options: dict[str, Any] = {
        "contact_points": [server.host], "port": server.port, "auth_provider": login, "ssl_context": context,
        "connect_timeout": 20, "control_connection_timeout": 20, **changes,
    }  # fmt: skip
    cluster = Cluster(**options)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def prepare_keyspace(session: Any, name: str = KEYSPACE) -> None:
    options = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {options}", timeout=60)
    session.set_keyspace(name)
    session.execute("CREATE TABLE IF NOT EXISTS item (id int PRIMARY KEY, name text)", timeout=60)


def calls(services: dict[str, Any]) -> list[object]:
    seen: list[object] = []
    with cluster_of(services["cassandra_node"]) as cluster:
        session = cluster.connect()
        session.default_timeout = 60
        prepare_keyspace(session)
        session.execute("INSERT INTO item (id, name) VALUES (%s, %s)", (1, "a"))
        insert = session.prepare("INSERT INTO item (id, name) VALUES (?, ?)")
        session.execute(insert, (2, "b"))
        batch = BatchStatement()
        batch.add(insert, (3, "c"))
        batch.add(SimpleStatement("INSERT INTO item (id, name) VALUES (%s, 'd')"), (4,))
        seen.append(session.execute(batch).current_rows)
        pages = session.execute(SimpleStatement("SELECT id, name FROM item", fetch_size=3))
        seen.append(sorted(tuple(row) for row in pages))
        seen.append(session.execute_async("SELECT count(*) FROM item").result().one()[0])  # which causes a warning
        seen.append([tuple(row) for row in session.execute("SELECT name FROM item WHERE id = 9")])
        try:
            session.execute("SELECT nothing FROM item")
        except Exception as error:  # noqa: BLE001  any error of the driver is compared
            seen.append((type(error).__name__, str(error)))
        session.execute("TRUNCATE item")
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["cassandra_node"]

    def asking(text: str) -> object:
        with cluster_of(server) as cluster:
            return cluster.connect().execute(text)

    def refused(**changes: Any) -> object:
        with cluster_of(server, **changes) as cluster:
            return cluster.connect()

    return [
        lambda: asking("SELEC 1"),
        lambda: asking("SELECT * FROM no_such.thing"),
        lambda: refused(password="wrong"),
        lambda: refused(port=1),
    ]
