"""A new probe with an honest and a hostile scenario is new files only: shown in a temporary copy of the project."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.growth.copies import SITE_PACKAGES, GrownCopy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("growth")]
NEW = Path(__file__).parent / "growth" / "new_probe"


@pytest.fixture(scope="module")
def grown() -> Iterator[GrownCopy]:
    """A copy with a client library, its probe, an attack on it and its ordinary work."""
    copy = GrownCopy()
    copy.add_folder(NEW)
    yield copy
    copy.remove()


def test_hostile_scenario_raises_only_the_alert_that_it_declares(grown: GrownCopy) -> None:
    done = grown.backwatch("attack", "run", "--json", "cask-other-key")
    outcome = json.loads(done.stdout)
    assert (outcome["raised"], outcome["outcome"], done.returncode) == (["mismatched-response"], "succeeded", 0)
    assert outcome["alerts"][0]["evidence"]["backwatch.response.indicators"] == "other-key"


def test_honest_scenario_raises_no_alert(grown: GrownCopy) -> None:
    done = grown.backwatch("attack", "quiet", "--json", "baskets")
    outcome = json.loads(done.stdout)
    assert (outcome["driver"], outcome["outcome"], outcome["alerts"]) == ("cask", "completed", []), done.stderr
    assert done.returncode == 0


def test_probe_and_scenario_pass_their_contract_tests(grown: GrownCopy) -> None:
    files = ("every_probe", "every_entry", "parameters")
    tests = [f"tests/contract/test_{name}.py" for name in files]
    done = grown.pytest("-m", "not heavy and not slow", "-k", "cask or pairs", *tests, "tests/attack/baseline")
    assert done.returncode == 0, done.stdout


def test_documents_list_the_new_driver(grown: GrownCopy) -> None:
    assert grown.run("tools/docs.py").returncode == 0
    drivers = (grown.path / "docs/reference/drivers.md").read_text()
    assert [line for line in drivers.splitlines() if line.startswith("| **cask** |")]
    assert grown.pytest("tests/contract/test_docs.py", "-k", "table or probe or fact").returncode == 0


def test_probe_changes_no_file_outside_the_new_ones(grown: GrownCopy) -> None:
    new = sorted(str(path.relative_to(NEW)) for path in NEW.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert sorted(grown.list_added()) == new
    assert grown.list_changed() == []
    assert sum(name.startswith(SITE_PACKAGES) for name in new) == 3  # the library itself
