"""What does attaching cost, against the driver's own connection opened with the same TLS?

    make bench NAME=attach_cost

On real servers on this machine, alternately: opening a connection over verified TLS (elapsed time), and one small call
on an open connection (CPU time of this process). The ratio of the medians is printed; the last line is JSON.
"""

import json
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backwatch.resource import Resource, attach
from tests.services.authority import Authority
from tests.services.databases import mariadb, postgresql, redis
from tests.services.server import Server

CONNECTS = 60
PAIRS = 24
CALLS_PER_PAIR = 400
NAME = "BENCH_URL"


def attach_server(server: Server, driver: str) -> Resource:
    """Attach a server over verified TLS."""
    parts = urlsplit(server.url)
    login = parts.netloc.rpartition("@")[0]
    scheme = "rediss" if server.kind == "redis" else parts.scheme
    url = f"{scheme}://{login}@localhost:{server.tls_port}{parts.path}"
    return attach(NAME, environment={NAME: url}, driver=driver, ca=server.ca_file, tls_on_loopback="required")


def open_psycopg(server: Server) -> Any:
    """Open a connection of psycopg."""
    import psycopg

    return psycopg.connect(
        server.tls_url.replace("127.0.0.1", "localhost"), ssl_min_protocol_version="TLSv1.2", hostaddr="127.0.0.1"
    )


def open_psycopg2(server: Server) -> Any:
    """Open a connection of psycopg2."""
    import psycopg2

    return psycopg2.connect(server.tls_url.replace("127.0.0.1", "localhost"))


def open_pymysql(server: Server) -> Any:
    """Open a connection of PyMySQL."""
    import pymysql

    return pymysql.connect(
        host="localhost", port=server.port, user=server.user, password=server.password, database="mysql",
        ssl=ssl.create_default_context(cafile=server.ca_file),
    )  # fmt: skip


def open_redis(server: Server) -> Any:
    """Open a client of redis-py, with its first connection."""
    import redis as driver

    client = driver.Redis.from_url(server.tls_url.replace("127.0.0.1", "localhost"))
    client.ping()
    return client


def open_attached_redis(resource: Resource) -> Any:
    """Open an attached client, with its first connection."""
    client = resource.client()
    client.ping()
    return client


def ask_sql(connection: Any) -> None:
    """Run a small statement."""
    cursor = connection.cursor()
    cursor.execute("select 1")
    cursor.fetchall()
    cursor.close()


def ask_redis(client: Any) -> None:
    """Run a small command."""
    client.get("key")


def connect_attached(resource: Resource) -> Any:
    """Open an attached connection."""
    return resource.connect()


DRIVERS: Mapping[str, tuple[Any, Callable[[Server], Any], Callable[[Resource], Any], Callable[[Any], None]]] = {
    "psycopg": (postgresql, open_psycopg, connect_attached, ask_sql),
    "psycopg2": (postgresql, open_psycopg2, connect_attached, ask_sql),
    "pymysql": (mariadb, open_pymysql, connect_attached, ask_sql),
    "redis": (redis, open_redis, open_attached_redis, ask_redis),
}


def time_openings(openers: tuple[Callable[[], Any], Callable[[], Any]]) -> tuple[float, float]:
    """Return the median seconds of both openings, alternately."""
    spent: tuple[list[float], list[float]] = [], []
    for _ in range(CONNECTS):
        for opener, found in zip(openers, spent, strict=True):
            begun = time.perf_counter()
            opened = opener()
            found.append(time.perf_counter() - begun)
            opened.close()
    return statistics.median(spent[0]), statistics.median(spent[1])


def time_calls(ask: Callable[[Any], None], openers: tuple[Callable[[], Any], Callable[[], Any]]) -> tuple[float, float]:
    """Return the median seconds of a call on both.

    Each pair of connections makes some calls, alternately, and a new pair follows: whether a server's process shares
    the client's core makes twice the difference, and lasts as long as the connection.
    """
    spent: tuple[list[float], list[float]] = [], []
    for _ in range(PAIRS):
        opened = openers[0](), openers[1]()
        for connection, found in zip(opened, spent, strict=True):
            ask(connection)
            begun = time.process_time()
            for _ in range(CALLS_PER_PAIR):
                ask(connection)
            found.append((time.process_time() - begun) / CALLS_PER_PAIR)
        for connection in opened:
            connection.close()
    return statistics.median(spent[0]), statistics.median(spent[1])


def main() -> None:
    """Measure and print."""
    result: dict[str, dict[str, float]] = {}
    print(f"{'':10} {'connect':>24} {'call':>28}")
    for driver, (kind, open_bare, open_attached, ask) in DRIVERS.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server: Server = stack.enter_context(kind.serve(Authority(folder)))
            resource = attach_server(server, driver)
            openers = partial(open_bare, server), partial(open_attached, resource)
            connect = time_openings(openers)
            call = time_calls(ask, openers)
        result[driver] = {
            "connect_ratio": round(connect[1] / connect[0], 3),
            "connect_us_more": round((connect[1] - connect[0]) * 1e6),
            "call_ratio": round(call[1] / call[0], 3),
            "call_us_more": round((call[1] - call[0]) * 1e6, 2),
        }
        print(
            f"{driver:10} {connect[0] * 1e3:7.2f} → {connect[1] * 1e3:5.2f} ms {connect[1] / connect[0]:6.2f}"
            f" {call[0] * 1e6:9.1f} → {call[1] * 1e6:7.1f} µs {call[1] / call[0]:6.3f}",
            flush=True,
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
