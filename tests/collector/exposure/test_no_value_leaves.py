"""Values are recognised inside the process; names of kinds are all that its stream holds."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import psycopg
import pytest
import redis
import requests

from backwatch.collector import names
from backwatch.collector.exposure import observation
from backwatch.collector.exposure.mode import set_mode
from backwatch.collector.probes import Probe
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.psycopg import PsycopgProbe
from backwatch.collector.probes.redis import RedisProbe
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.memory_stream import MemoryStream, deliver
from tests.services.server import Server

VALUES = {
    "email": "canary.zq81@example.org", "card": "4000-0012-3456-7899", "iban": "DE89370400440532013000",
    "access-key": "ghp_cAnAry7Zq81aB3dE6gH9jK2mN5pQ8sT1vW4y", "national-id": "RSSMRA85T10A562S",
    "phone": "+49 1701 2345678",
}  # fmt: skip
KINDS = ",".join(kind for kind in names.DATA_KINDS if kind in VALUES)
ROWS = [tuple(VALUES.values())] * 3
FACTS = {names.DATA_RECEIVED, names.DATA_SENT}
Work = Callable[[], object]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    observation.forget()
    yield
    observation.forget()
    set_mode("columns")


def run(work: Work, kind: type[Probe], mode: str) -> MemoryStream:
    """Return what the stream holds of a piece of work in this mode."""
    observation.forget()
    with deliver(kind) as stream:
        set_mode(mode)
        work()
    return stream


def forms_of(value: str) -> Iterator[bytes]:
    """Yield a value, its parts, and its hashes."""
    plain = "".join(letter for letter in value if letter.isalnum())
    for text in (value, value.lower(), plain, plain[:9], plain[-9:]):
        yield text.encode()
        yield str(hash(text)).encode()
        for name in ("md5", "sha1", "sha256", "blake2b"):
            yield hashlib.new(name, text.encode()).digest()
            yield hashlib.new(name, text.encode()).hexdigest().encode()[:16]


def check(work: Work, kind: type[Probe]) -> list[dict[str, Any]]:
    """Check that the stream in ``values`` differs from that in ``off`` by words of kinds alone; return its calls."""
    off, on = run(work, kind, "off"), run(work, kind, "values")
    data = b"".join(message.value for message in on.messages)
    for value in VALUES.values():
        for form in forms_of(value):
            assert form not in data, form
    bare = [{key: call[key] for key in call.keys() - FACTS} for call in on.calls()]
    assert [call.keys() for call in off.calls()] == [call.keys() for call in bare]
    for call in on.calls():
        for fact in FACTS & call.keys():
            assert set(call[fact].split(",")) <= set(names.DATA_KINDS)
    assert not any(FACTS & call.keys() for call in off.calls())
    return on.calls()


def kinds_in(calls: list[dict[str, Any]], fact: str) -> set[str]:
    """Return all values of a fact."""
    return {call[fact] for call in calls if fact in call}


def test_sqlite_values_stay_in_the_process() -> None:
    def work() -> None:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("CREATE TABLE t(a, b, c, d, e, f)")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", ROWS)
            assert connection.execute("SELECT a, b, c, d, e, f FROM t").fetchall() == ROWS
            connection.row_factory = sqlite3.Row
            assert [tuple(row) for row in connection.execute("SELECT a x, b, c, d, e, f FROM t")] == ROWS

    calls = check(work, SQLiteProbe)
    assert kinds_in(calls, names.DATA_RECEIVED) == {KINDS}
    assert kinds_in(calls, names.DATA_SENT) == {KINDS}


@pytest.mark.services
def test_postgresql_values_stay_in_the_process(postgresql: Server) -> None:
    def work() -> None:
        with psycopg.connect(postgresql.tls_url) as connection:
            text = "SELECT %s::text, %s::text, %s::text, %s::text, %s::text, %s::text"
            assert connection.execute(text, ROWS[0]).fetchall() == ROWS[:1]

    calls = check(work, PsycopgProbe)
    assert kinds_in(calls, names.DATA_RECEIVED) == {KINDS}
    assert kinds_in(calls, names.DATA_SENT) == {KINDS}


@pytest.mark.services
def test_redis_values_stay_in_the_process(redis_server: Server, redis_prefix: str) -> None:
    def work() -> None:
        with redis.Redis.from_url(redis_server.tls_url) as client:
            client.set(f"{redis_prefix}a", json.dumps(VALUES), ex=60)
            assert client.get(f"{redis_prefix}a") == json.dumps(VALUES).encode()
            client.hset(f"{redis_prefix}b", mapping={f"f{at}": value for at, value in enumerate(ROWS[0])})
            client.hgetall(f"{redis_prefix}b")
            client.delete(f"{redis_prefix}b")

    calls = check(work, RedisProbe)
    assert KINDS in kinds_in(calls, names.DATA_RECEIVED)
    assert KINDS in kinds_in(calls, names.DATA_SENT)


class _Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        pass


@pytest.fixture
def echo_url() -> Iterator[str]:
    """The URL of a service that responds with the body of the request."""
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a"
    server.shutdown()
    thread.join()
    server.server_close()


def test_http_values_stay_in_the_process(echo_url: str) -> None:
    def work() -> None:
        with requests.Session() as session:
            session.trust_env = False
            body = {f"f{at}": value for at, value in enumerate(ROWS[0])}
            assert session.post(echo_url, json=body).json() == body

    calls = check(work, Urllib3Probe)
    assert kinds_in(calls, names.DATA_RECEIVED) == {KINDS}
    assert kinds_in(calls, names.DATA_SENT) == {KINDS}


def test_form_that_httpx_sends_stays_in_the_process(echo_url: str) -> None:
    def work() -> None:
        with httpx.Client(trust_env=False) as client:
            client.post(echo_url, data={f"f{at}": value for at, value in enumerate(ROWS[0])})

    assert kinds_in(check(work, HttpxProbe), names.DATA_SENT) == {KINDS}
