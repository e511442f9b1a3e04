"""Real drivers send real servers the corpus, and all outputs of Backwatch are clean: stream, store, logs, webhooks."""

import base64
import itertools
import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.statements.spec import split_words
from tests.leaks.corpus import Canary, Planted, of, plant
from tests.leaks.finder import Finder, shown
from tests.leaks.ways import words_of
from tests.services.http.receiver import Receiver, receiver
from tests.services.internet.smtp import MailServer
from tests.services.server import Server
from tests.system.commands import BACKWATCH, environment, run_in_background

_SYSTEM_NAMES = (names.DB_SYSTEM, names.MESSAGING_SYSTEM, names.SYSTEM)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ZSTD = b"\x28\xb5\x2f\xfd"
LASTING = (
    "PROGRAM", "COMMIT", "SYSTEM", "SUBSCRIPTION", "lo_import", "ROLE ALL", "OUTFILE", "SLEEP", "GET_LOCK",
    "PREPARE TRANS",
)  # fmt: skip
"""What would change a server that other tests share, or take long."""
OTHERS = split_words(
    """
    CONFIG ACL REPLICAOF SLAVEOF FAILOVER MIGRATE SUBSCRIBE PSUBSCRIBE DEBUG MODULE SENTINEL SCRIPT FUNCTION XREADGROUP
    """
)


@dataclass
class Plan:
    """The app's calls, and the canaries in them."""

    steps: list[tuple[str, dict[str, Any], list[Any]]]
    canaries: list[Canary]
    entries: int = 0

    def add(self, driver: str, server: Server, what: list[tuple[Planted, Any]]) -> None:
        self.steps.append(
            (
                driver,
                {name: getattr(server, name) for name in ("host", "port", "user", "password", "url")},
                [one for _, one in what],
            )
        )
        self.canaries += [canary for one, _ in what for canary in one.canaries]
        self.entries += len({one.entry for one, _ in what})


def one_of_each(system: str, way: str, *begins: str) -> list[Planted]:
    """Return each entry with one shape of canary, a different one each time."""
    found: list[Planted] = []
    for number, entry in enumerate(of(system, way)):
        if any(word in entry.text for word in LASTING) or (begins and not entry.text.startswith(begins)):
            continue
        shapes = list(plant(entry))
        found.append(shapes[number % len(shapes)])
    return found


def as_text(found: list[Planted]) -> list[tuple[Planted, Any]]:
    return [(one, one.text) for one in found]


def of_http(server: Server) -> list[tuple[Planted, Any]]:
    """Return URLs with another host, headers to send, and URLs that request a header in the response."""
    begun = f"http://{server.host}:{server.port}"
    asked: list[tuple[Planted, Any]] = []
    for one in one_of_each("http", "url"):
        try:
            parts = urlsplit(one.text)
        except ValueError:
            continue
        user = parts.netloc.rpartition("@")[0]
        url = parts._replace(
            scheme="http", netloc=f"{user}@{server.host}:{server.port}" if user else begun[7:]
        ).geturl()
        asked.append((one, [url, "", ""]))
    for one in one_of_each("http", "header"):
        name, _, value = one.text.partition(": ")
        asked.append((one, [begun + "/", name, value]))
    return asked + [(one, [begun + "/answer", "X-Answer", one.text]) for one in one_of_each("http", "response")]


def answer_request(connection: socket.socket, to: Receiver) -> None:
    """Reply with the requested header, under a suitable status."""
    asked = {name.lower(): value for name, value in to.requests[-1].headers.items()}.get("x-answer", "X-None: 1")
    status = "302 Found" if asked.startswith("Location") else "401 No" if asked.startswith("WWW") else "200 OK"
    connection.sendall(f"HTTP/1.1 {status}\r\n{asked}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


@pytest.fixture
def web() -> Iterator[Server]:
    with receiver(answer_request) as one:
        yield Server(kind="http", port=one.port, url=one.url)


@pytest.fixture
def plan(
    postgresql: Server, mariadb: Server, redis_server: Server, rabbitmq: Server, smtp_server: MailServer, web: Server
) -> Plan:
    made = Plan([], [])
    sql = as_text(one_of_each("postgresql", "sql"))
    made.add("psycopg", postgresql, sql)
    made.add("psycopg2", postgresql, sql[::3])
    made.add("asyncpg", postgresql, sql[1::3])
    readable = ("SELECT", "INSERT", "REPLACE", "CALL", "SIGNAL", "HANDLER", "EXECUTE")
    made.add("pymysql", mariadb, as_text(one_of_each("mysql", "sql", *readable)))
    made.add("sqlite3", Server(kind="sqlite", port=0, url=""), as_text(one_of_each("sqlite", "sql")))
    commands = [(one, words_of(one)) for one in one_of_each("redis", "command")]
    made.add("redis", redis_server, [pair for pair in commands if pair[1][0].upper() not in OTHERS])
    made.add("http", web, of_http(web))
    made.add("smtplib", smtp_server, as_text(one_of_each("smtp", "command")))
    messages = [(one, one.text.split(" ", 2)[1:]) for one in one_of_each("amqp", "message")]
    made.add("pika", rabbitmq, messages)
    return made


def iter_values(file: Path) -> Iterator[tuple[str, bytes]]:
    """Return every file of a SQLite database as it is, and every value of every table, unpacked where it was packed."""
    for one in file.parent.glob(f"{file.name}*"):
        yield one.name, one.read_bytes()
    with sqlite3.connect(file) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    yield table, raw
                    for at in (0, 1, 2, 4, 8):
                        if raw[at : at + 4] == ZSTD:
                            yield table, zstandard.ZstdDecompressor().decompressobj().decompress(raw[at:])


def find_leaks(finder: Finder, where: Iterator[tuple[str, bytes]]) -> list[str]:
    """Return leaks, each with its location."""
    found: set[str] = set()
    for name, values in itertools.groupby(where, key=lambda pair: pair[0]):
        found.update(shown(finder.find(b"\n".join(value for _, value in values)), name))
    return sorted(found)


def assert_was_recorded(stream: Path) -> None:
    """Check that every driver's calls are there: calls without a record could not leak."""
    calls: Counter[str] = Counter()
    with sqlite3.connect(stream) as connection:
        for (value,) in connection.execute("SELECT value FROM record WHERE topic = 'backwatch_calls'"):
            for resource in ExportTraceServiceRequest.FromString(value).resource_spans:
                for scope in resource.scope_spans:
                    facts = {pair.key: pair.value.string_value for pair in scope.scope.attributes}
                    calls[next((facts[name] for name in _SYSTEM_NAMES if name in facts), "")] += len(scope.spans)
    least = {"postgresql": 300, "mysql": 50, "sqlite": 40, "redis": 150, "http": 100, "smtp": 10, "rabbitmq": 20}
    assert {system: calls[system] for system in least if calls[system] < least[system]} == {}


@pytest.mark.slow
def test_no_canary_is_anywhere_after_a_day_of_real_calls(plan: Plan, tmp_path: Path) -> None:
    assert plan.entries >= 80
    finder = Finder(plan.canaries, among_numbers=True)
    plan_file, stream, store = tmp_path / "plan.json", tmp_path / "stream.db", tmp_path / "store.db"
    plan_file.write_text(json.dumps(plan.steps))
    settings = {"BACKWATCH_STREAM_URL": f"sqlite:///{stream}", "BACKWATCH_STORE_URL": f"sqlite:///{store}"}
    app = Path(__file__).with_name("app.py").read_text()
    (tmp_path / "app.py").write_text(app)
    ran = subprocess.run(
        [BACKWATCH, "run", "--", sys.executable, "-W", "ignore", "app.py", str(plan_file)], cwd=tmp_path,
        env=environment({**settings, "BACKWATCH_APP": "shop"}), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert_was_recorded(stream)  # before any consumer reads it: read records are pruned
    places = [*iter_values(stream), ("log of the app", ran.stdout.encode())]
    with receiver() as hook:
        hooked = {"BACKWATCH_WEBHOOK_URL": hook.url, "BACKWATCH_WEBHOOK_SECRET": SECRET,
                  "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1"}  # fmt: skip
        with run_in_background(tmp_path, "detect", **settings) as detect:
            detect.until(lambda: "detecting" in detect.output(), "it does not detect", 180)  # the store is made by then
            with run_in_background(tmp_path, "notify", **settings, **hooked) as notify:
                notify.until(lambda: len(hook.requests) > 1, "no webhook came")
                time.sleep(2)
                detect.stop()
                notify.stop()
                places += [("log", (detect.output() + notify.output()).encode())]
        places += [("webhook", one.body + json.dumps(one.headers).encode()) for one in hook.requests]
    places += iter_values(store)
    assert find_leaks(finder, iter(places)) == []
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM backwatch_alert").fetchone() > (0,)


def test_a_canary_is_found_in_each_place(tmp_path: Path) -> None:
    one = next(plant(of("postgresql", "sql")[0]))
    (secret, *_) = one.canaries
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE plain (a TEXT)")
        connection.execute("CREATE TABLE packed (a BLOB)")
        connection.execute("INSERT INTO plain VALUES (?)", (f"x {secret.text[3:10]} y",))
        connection.execute("INSERT INTO packed VALUES (?)", (zstandard.compress(secret.text.encode() * 3),))
    finder = Finder(one.canaries, among_numbers=True)
    places = {line.rpartition("] ")[2] for line in find_leaks(finder, iter_values(file))}
    assert {"plain", "packed", "store.db"} <= places
    assert find_leaks(
        finder, iter([("log", secret.text.encode()), ("webhook", json.dumps({"a": secret.text}).encode())])
    )
