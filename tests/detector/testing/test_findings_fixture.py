"""The fixture ``backwatch_findings``: what the rules raise on a test's own calls."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.detector.testing.suites import PLUGIN, run_pytest, write_suite

pytestmark = pytest.mark.heavy
APP = """
import sqlite3

connection = sqlite3.connect(":memory:")
connection.execute("create table item (id integer, name text)")

def by_id(number):
    return connection.execute("SELECT name FROM item WHERE id = ?", (number,)).fetchall()

def search(name):
    return connection.execute("SELECT name FROM item WHERE name = '" + name + "'").fetchall()
"""
TESTS = """
import app

def test_good(backwatch_findings):
    app.by_id(1)
    assert not backwatch_findings
    assert backwatch_findings == []

def test_bad(backwatch_findings):
    app.search("x' OR '1'='1' --")
    assert not backwatch_findings

def test_after_bad(backwatch_findings):
    app.search("x")
    assert not backwatch_findings

def test_list(backwatch_findings):
    assert len(backwatch_findings) == 0
    app.search("x' OR '1'='1' --")
    assert [finding.rule for finding in backwatch_findings] == ["query-attack"]
    assert backwatch_findings[0].call_site == "app.py:11 in search"
    app.search("x' OR '1'='1' --")
    assert len(backwatch_findings) == 1
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_fixture_shows_findings_of_its_own_test_only(tmp_path: Path, options: tuple[str, ...]) -> None:
    write_suite(tmp_path, app=APP, test_app=TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nbackwatch = true\n")
    code, out = run_pytest(tmp_path, *options)
    assert code == 1, out
    assert "1 failed, 3 passed" in out
    assert "high query-attack: A New Query Looks Injected at app.py:11 in search on sqlite :memory:" in out


def test_fixture_without_the_setting_fails_with_what_to_do(tmp_path: Path) -> None:
    write_suite(tmp_path, app=APP, test_app=TESTS)
    code, out = run_pytest(tmp_path)
    assert code == 1
    assert "backwatch_findings needs backwatch = true in pytest's configuration" in out


def test_plugin_without_option_imports_nothing_but_pytest(tmp_path: Path) -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import " + PLUGIN + " as plugin;"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('backwatch.detector')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("['backwatch']", "[]")
