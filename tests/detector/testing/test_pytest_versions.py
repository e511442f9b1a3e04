"""The plugin on older versions of pytest, alone and under xdist."""

from pathlib import Path

import pytest

from tests.detector.testing.suites import run_pytest, write_suite
from tests.detector.testing.test_profile_options import APP, MORE, TESTS
from tests.services.overlays import overlay

pytestmark = pytest.mark.slow
OLDER = {
    "7.0": ("pytest==7.0.1", "pluggy==1.3.0", "iniconfig==1.1.1", "attrs==23.1.0", "py==1.11.0", "pytest-xdist==3.3.1"),
    "7.4": ("pytest==7.4.4", "pluggy==1.5.0", "pytest-xdist==3.5.0"),
    "8.0": ("pytest==8.0.2", "pluggy==1.5.0", "pytest-xdist==3.5.0"),
    "8.4": ("pytest==8.4.2", "pluggy==1.6.0"),
}
JUDGED = """
from shop import db

def test_bad(backwatch_findings):
    db.search("x' OR '1'='1' --")
    assert [finding.rule for finding in backwatch_findings] == ["query-attack"]
"""


@pytest.mark.parametrize("version", list(OLDER))
def test_options_and_fixture_work_on_older_pytest_and_under_xdist(version: str, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(overlay(*OLDER[version]))}
    write_suite(tmp_path, shop____init__="", shop__db=APP, tests__test_db=TESTS, tests__test_judged=JUDGED)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nbackwatch_app = shop\n")

    def run(*options: str) -> tuple[int, str]:
        return run_pytest(tmp_path, "-p", "no:timeout", *options, environment=environment, strict=False)

    code, out = run("--backwatch-record")
    assert (code, f"pytest-{version}" in out) == (0, True), out
    assert "backwatch.yml: 3 statements and 0 destinations, 3 new" in out
    first = (tmp_path / "backwatch.yml").read_bytes()
    code, out = run("--backwatch-record", "-n", "2")
    assert (code, "3 statements and 0 destinations, 0 new" in out) == (0, True), out
    assert (tmp_path / "backwatch.yml").read_bytes() == first
    (tmp_path / "tests" / "test_judged.py").unlink()
    code, out = run("--backwatch-check", "-n", "2")
    assert code == 0, out
    write_suite(tmp_path, tests__test_more=MORE)
    for options in ((), ("-n", "2")):
        code, out = run("--backwatch-check", *options)
        assert (code, "1 that backwatch.yml does not hold" in out) == (1, True), out
