"""A sample app moves from local services to TLS-only ones by changing three variables."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from backwatch.attack import history
from backwatch.collector.settings import StreamSettings
from backwatch.detector.api import Finding, Judge
from tests.services.authority import Authority
from tests.services.databases import postgresql as postgresql_server
from tests.services.databases import redis as redis_server_module
from tests.services.internet.smtp import MailServer
from tests.services.server import Server

pytestmark = [pytest.mark.services("postgresql", "redis_server"), pytest.mark.heavy]
NAMES = ("DATABASE_URL", "CACHE_URL", "MAIL_URL")
APP = """
import sys
from email.message import EmailMessage

from backwatch.resource import attach

DATABASE, CACHE, MAIL = attach("DATABASE_URL"), attach("CACHE_URL"), attach("MAIL_URL")


def read_order(number):
    with DATABASE.connect() as connection:
        return connection.execute("select id, total from orders where id = %s", (number,)).fetchall()


def keep(number, total):
    client = CACHE.client()
    client.set(f"order:{number}", str(total), ex=60)
    client.close()


def confirm(number):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@shop.example", "one@shop.example", "Your order"
    message.set_content(f"Order {number} is on its way.")
    with MAIL.session() as mail:
        mail.send_message(message)


for number in range(int(sys.argv[1])):
    for order, total in read_order(number % 3 + 1):
        keep(order, total)
        confirm(order)
"""
FILE = """
[resources.all]
ca = "{ca}"
[resources.DATABASE_URL]
hosts = ["localhost", "127.0.0.1"]
[resources.CACHE_URL]
hosts = ["localhost", "127.0.0.1"]
[resources.MAIL_URL]
hosts = ["localhost", "127.0.0.1"]
"""
SECURE = "backwatch.tls_on_loopback=required"
"""On loopback, as it is on any network."""


class Places(NamedTuple):
    """The services before and after the move.

    Attributes:
        local, managed: Variables of the app.
        folder: Of the app.
    """

    local: Mapping[str, str]
    managed: Mapping[str, str]
    folder: Path


def create_orders(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop table if exists orders")
        connection.execute("create table orders (id int primary key, total int)")
        connection.execute("insert into orders values (1, 10), (2, 20), (3, 30)")


@pytest.fixture(scope="module")
def places(
    ca: Authority, postgresql: Server, redis_server: Server, smtp_server: MailServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Places]:  # fmt: skip
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(APP)
    (folder / "backwatch.toml").write_text(FILE.format(ca=ca.ca_file))
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(postgresql_server.serve(ca))
        cache = stack.enter_context(redis_server_module.serve(ca))
        for server in (postgresql, other):
            create_orders(server.url)
        mail = f"{smtp_server.user}:{smtp_server.password}"
        local = {
            "DATABASE_URL": postgresql.url.replace("127.0.0.1", "localhost"),
            "CACHE_URL": redis_server.url.replace("127.0.0.1", "localhost"),
            "MAIL_URL": f"smtp://localhost:{smtp_server.plain_port}/",
        }
        managed = {
            "DATABASE_URL": f"{other.url}?{SECURE}",
            "CACHE_URL": f"rediss://{cache.user}:{cache.password}@127.0.0.1:{cache.tls_port}/0?{SECURE}",
            "MAIL_URL": f"smtps://{mail}@127.0.0.1:{smtp_server.tls_port}/?{SECURE}",
        }
        yield Places(local, managed, folder)


@pytest.fixture(scope="module")
def before(places: Places) -> list[Any]:
    """The app's calls to the local services."""
    return record(places, places.local)


def record(places: Places, variables: Mapping[str, str], rounds: int = 12, **settings: str) -> list[Any]:
    """Run the app under watch and return its calls."""
    stream = f"sqlite:///{places.folder / f'stream-{time.monotonic_ns()}.db'}"
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(places.folder), "BACKWATCH_STREAM_URL": stream, "BACKWATCH_APP": "shop",
        **variables, **settings,
    }  # fmt: skip
    command = [sys.executable, "-m", "backwatch.collector", "run", "--", sys.executable, "app.py", str(rounds)]
    done = subprocess.run(
        command, cwd=places.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return history.capture_calls(StreamSettings(url=stream, partitions=1))


def judge_move(before: list[Any], after: list[Any]) -> list[Finding]:
    """Repeat the calls before over eight days, then let the calls after follow; return what those raise."""
    day_ns, now_ns = 86_400 * 10**9, time.time_ns()
    judge = Judge(app="shop")
    for hour in range(0, 8 * 24, 3):
        past = history.repeat_calls_once(before, now_ns - 9 * day_ns + hour * 3_600 * 10**9, 600 * 10**9)
        judge.judge([message.value for message in history.to_messages(past)])
    judge.flush()
    found: list[Finding] = []
    for hour in range(12):
        calls = history.repeat_calls_once(after, now_ns - day_ns + hour * 3_600 * 10**9, 600 * 10**9)
        found += judge.judge([message.value for message in history.to_messages(calls)])
    return found + judge.close()


def test_three_changed_variables_move_the_app_without_an_alert(places: Places, before: list[Any]) -> None:
    found = judge_move(before, record(places, places.managed))
    assert [str(finding) for finding in found if finding.level != "informational"] == []
    moved = {finding.resource for finding in found if finding.rule == "resource-moved-as-declared"}
    assert moved == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_variable_changed_by_an_attacker_is_refused_or_reported(
    places: Places, before: list[Any], ca: Authority, name: str
) -> None:
    undeclared = places.folder / "declared.toml"
    undeclared.write_text((places.folder / "backwatch.toml").read_text().replace('"127.0.0.1"', '"managed.example"'))
    with pytest.raises(AssertionError, match=r"ResourceUnsafe: [A-Z_]*: hosts"):
        record(places, places.managed, BACKWATCH_RESOURCES_FILE=str(undeclared))
    own = f"&ssl_ca_certs={ca.ca_file}" if name == "CACHE_URL" else ""  # in observe, the driver's own options hold
    observed = record(
        places, {**places.local, name: places.managed[name] + own}, BACKWATCH_RESOURCES_FILE=str(undeclared),
        BACKWATCH_RESOURCE_MODE="observe",
    )  # fmt: skip
    found = judge_move(before, observed)
    assert {(finding.rule, finding.level) for finding in found if finding.resource == name} & {
        ("resource-moved", "high")
    }
