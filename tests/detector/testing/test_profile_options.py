"""``pytest --backwatch-record`` and ``--backwatch-check``: the profile of an app, from its own suite."""

from pathlib import Path

import pytest

from backwatch.detector.profile.reading import parse
from backwatch.detector.testing.suite import is_test_code
from tests.detector.testing.suites import run_pytest, write_suite

pytestmark = pytest.mark.heavy
APP = """
import sqlite3

connection = sqlite3.connect(":memory:", check_same_thread=False)
connection.execute("create table item (id integer, name text)")

def by_id(number):
    return connection.execute("SELECT name FROM item WHERE id = ?", (number,)).fetchall()

def add(number, name):
    with connection:
        connection.execute("INSERT INTO item (id, name) VALUES (?, ?)", (number, name))

def search(name):
    return connection.execute("SELECT name FROM item WHERE name = '" + name + "'").fetchall()
"""
TESTS = """
from shop import db

def test_by_id():
    assert db.by_id(1) == []

def test_add():
    db.add(2, "b")
    assert db.connection.execute("SELECT count(*) FROM item").fetchone() == (1,)
"""
MORE = """
from shop import db

def test_search():
    db.search("x")
"""
ATTACK = """
from shop import db

def test_attack():
    db.search("x' OR '1'='1' --")
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    write_suite(tmp_path, shop____init__="", shop__db=APP, tests__test_db=TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nbackwatch_app = shop\n")
    return tmp_path


def test_recorded_profile_is_stable_and_holds_the_apps_own_statements(suite: Path) -> None:
    code, out = run_pytest(suite, "--backwatch-record")
    assert code == 0, out
    assert "backwatch.yml: 3 statements and 0 destinations, 3 new" in out
    first = (suite / "backwatch.yml").read_bytes()
    found = parse(first.decode())
    assert found.app == "shop"
    assert [(entry.site, entry.statement) for entry in found.statements] == [
        ("shop/db.py:<module>", "CREATE TABLE ITEM(ID INTEGER, NAME TEXT)"),
        ("shop/db.py:add", "INSERT INTO ITEM(ID, NAME) VALUES(?)"),
        ("shop/db.py:by_id", "SELECT NAME FROM ITEM WHERE ID = ?"),
    ]
    code, out = run_pytest(suite, "--backwatch-record=backwatch.yml", "-n", "2")
    assert "3 statements and 0 destinations, 0 new" in out
    assert (suite / "backwatch.yml").read_bytes() == first


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_check_fails_on_what_the_profile_does_not_hold(suite: Path, options: tuple[str, ...]) -> None:
    assert run_pytest(suite, "--backwatch-record")[0] == 0
    code, out = run_pytest(suite, "--backwatch-check", *options)
    assert (code, "the app does nothing that backwatch.yml does not hold" in out) == (0, True), out
    write_suite(suite, tests__test_more=MORE)
    code, out = run_pytest(suite, "--backwatch-check", *options)
    assert code == 1, out
    assert "1 that backwatch.yml does not hold" in out
    assert "shop/db.py:search\n    SELECT name FROM item WHERE name = ?\n" in out
    assert "record it (pytest --backwatch-record=backwatch.yml) and review the change" in out


def test_injected_statement_is_never_recorded_and_fails_the_check(suite: Path) -> None:
    write_suite(suite, tests__test_attack=ATTACK)
    code, out = run_pytest(suite, "--backwatch-record")
    assert code == 0, out
    assert "not recorded, it looks injected: SELECT NAME FROM ITEM WHERE NAME = ? OR ? = ?" in out
    assert "OR ?" not in (suite / "backwatch.yml").read_text()
    code, out = run_pytest(suite, "--backwatch-check")
    assert (code, "1 that backwatch.yml does not hold" in out) == (1, True), out


def test_failed_suite_changes_no_profile(suite: Path) -> None:
    write_suite(suite, tests__test_wrong="def test_wrong():\n    assert False\n")
    code, out = run_pytest(suite, "--backwatch-record")
    assert code == 1
    assert "backwatch.yml is unchanged: the suite failed" in out
    assert not (suite / "backwatch.yml").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backwatch-record", "tests"), "--backwatch-record=tests: a profile's file ends in .yml"),
        (("--backwatch-check",), "backwatch.yml: no such profile; record it: pytest --backwatch-record=backwatch.yml"),
        (("--backwatch-check=bad.yml",), "bad.yml:1: app is missing"),
        (("--backwatch-check=bad.yml", "--backwatch-record=bad.yml"), "exclude each other"),
    ],
    ids=["folder", "missing", "faulty", "both"],
)
def test_wrong_options_end_the_run_with_what_is_wrong(suite: Path, options: tuple[str, ...], message: str) -> None:
    (suite / "bad.yml").write_text("profile: 1\n")
    code, out = run_pytest(suite, *options)
    assert (code, message in out) == (4, True), out


def test_call_sites_in_test_code_are_no_part_of_the_app() -> None:
    patterns = ["test_*.py", "check_*.py"]
    assert is_test_code("tests/fixtures/data.py:load", patterns)
    assert is_test_code("shop/check_prices.py:f", patterns)
    assert is_test_code("conftest.py:database", patterns)
    assert not is_test_code("shop/testing.py:f", patterns)
    assert not is_test_code("route:/tests/x", patterns)
