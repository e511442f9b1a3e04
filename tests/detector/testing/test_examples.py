"""The sample apps of ``examples/``: recorded by their own tests, enforced, and released with three new queries."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from backwatch.collector.bootstrap.start import extend_environment
from backwatch.detector.api import Judge, parse_profile
from backwatch.detector.profile.document import Profile
from tests.detector.testing.suites import run_pytest
from tests.services.process import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("examples")]
EXAMPLES = ROOT / "examples"
SITES = {
    "sqlalchemy_shop": {
        "shop/release_2.py:count_orders",
        "shop/release_2.py:list_cities",
        "shop/release_2.py:move_customer",
    },
    "django_shop": {"shop/release_2.py:count", "shop/release_2.py:cities", "shop/release_2.py:move"},
}
SCRIPTS = {
    "sqlalchemy_shop": """
import os
from shop import models, orders, release_2

release = os.environ["RELEASE"]
if release == "0":
    models.create_tables()
    raise SystemExit
for city in ("London", "Paris", "Rome"):
    orders.find_customers(city)
    customer = orders.add_customer("Ada", city)
    orders.add_order(customer, 3)
    orders.list_orders(customer)
    orders.sum_revenue()
    if release == "2":
        release_2.count_orders(customer)
        release_2.move_customer(customer, "Oslo")
        release_2.list_cities()
""",
    "django_shop": """
import os
import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()
from django.core.management import call_command
from django.test import Client

release = os.environ["RELEASE"]
if release == "0":
    from shop.models import Customer

    call_command("migrate", run_syncdb=True, verbosity=0)
    Customer.objects.get_or_create(id=1, name="Ada", city="London")
    raise SystemExit
client = Client()
for city in ("London", "Paris", "Rome"):
    assert client.get("/customers/", {"city": city}).status_code == 200
    assert client.post("/customers/1/orders/", {"total": 3}).status_code == 200
    assert client.get("/customers/1/orders/").status_code == 200
    assert client.get("/revenue/").status_code == 200
    if release == "2":
        assert client.get("/customers/1/count/").status_code == 200
        assert client.post("/customers/1/move/", {"city": city}).status_code == 200
        assert client.get("/cities/").status_code == 200
""",
}
every_example = pytest.mark.parametrize("name", list(SITES))


@pytest.fixture
def app(name: str, tmp_path: Path) -> Path:
    """A copy of an example, for its file of the profile changes."""
    return Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")))


def run_in_production(app: Path, database: str, *, release: int) -> list[bytes]:
    """Run what the app does under the collector, and return what this wrote to the stream. Tables are made before."""
    stream = app / f"stream{release}.db"
    (app / "main.py").write_text(SCRIPTS[app.name])
    watched = {
        **os.environ, "RELEASE": str(release), "DATABASE_URL": database, "BACKWATCH_APP": app.name.replace("_", "-"),
        "BACKWATCH_STREAM_URL": f"sqlite:///{stream}", "PYTHONPATH": str(app),
    }  # fmt: skip
    for environment in ({**watched, "RELEASE": "0", "BACKWATCH_ENABLED": "false"}, extend_environment(watched)):
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=app, capture_output=True, text=True, timeout=100, check=False,
            env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    with contextlib.closing(sqlite3.connect(stream)) as opened:
        return [row[0] for row in opened.execute("SELECT value FROM record ORDER BY offset")]


def make_database(app: Path, kind: str, request: pytest.FixtureRequest) -> str:
    """Return the URL of a database of the app's own."""
    if kind == "sqlite":
        return f"sqlite:///{app / 'shop.db'}"
    url = str(request.getfixturevalue("postgresql_database"))
    return url.replace("postgresql://", "postgresql+psycopg://", 1) if app.name == "sqlalchemy_shop" else url


def record_on(app: Path, kind: str, database: str) -> bool:
    """Record the profile anew on a server, whose dialect differs from SQLite's; return whether this was done."""
    if kind == "sqlite":
        return False
    (app / "backwatch.yml").unlink()
    code, out = run_pytest(app, "--backwatch-record", environment={"DATABASE_URL": database})
    assert code == 0, out
    return True


def judge(profile: Profile, values: list[bytes]) -> dict[str, set[tuple[str, str]]]:
    """Return the alerts of these calls, by their rules: call site and id."""
    found: dict[str, set[tuple[str, str]]] = {}
    with Judge(profile=profile) as judging:
        for finding in (*judging.judge(values), *judging.flush()):
            file, _, function = finding.call_site.partition(" in ")
            found.setdefault(finding.rule, set()).add((f"{file.rpartition(':')[0]}:{function}", finding.alert_id))
    return found


@every_example
def test_recorded_profile_of_the_example_is_up_to_date(app: Path) -> None:
    before = (app / "backwatch.yml").read_bytes()
    code, out = run_pytest(app, "--backwatch-record")
    assert code == 0, out
    assert (app / "backwatch.yml").read_bytes() == before
    code, out = run_pytest(app, "--backwatch-check", "-n", "2")
    assert code == 0, out


@every_example
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_release_with_three_new_queries_raises_exactly_three(
    app: Path, name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    database = make_database(app, kind, request)
    suite = {"DATABASE_URL": database} if record_on(app, kind, database) else {}
    code, out = run_pytest(app, "--backwatch-check", environment={**suite, "RELEASE": "2"})
    assert (code, "3 that backwatch.yml does not hold" in out) == (1, True), out
    profile = parse_profile((app / "backwatch.yml").read_text())
    assert judge(profile, run_in_production(app, database, release=1)) == {}
    found = judge(profile, run_in_production(app, database, release=2))
    assert set(found) == {"unapproved-query"}
    assert {site for site, _ in found["unapproved-query"]} == SITES[name]
    assert len(found["unapproved-query"]) == 3


@every_example
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_release_that_was_recorded_first_raises_nothing(app: Path, kind: str, request: pytest.FixtureRequest) -> None:
    database = make_database(app, kind, request)
    suite = {"DATABASE_URL": database} if record_on(app, kind, database) else {}
    code, out = run_pytest(app, "--backwatch-record", environment={**suite, "RELEASE": "2"})
    assert (code, ", 3 new" in out) == (0, True), out
    profile = parse_profile((app / "backwatch.yml").read_text())
    assert judge(profile, run_in_production(app, database, release=2)) == {}
