"""A new detector is two new files, its code and its rule: shown in a temporary copy with the documented example."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backwatch.collector import names
from tests.contract.documented import example_file
from tests.contract.growth.copies import GrownCopy
from tests.detector import streams

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("growth")]
FOLDER = "detector/src/backwatch/detector/detectors"
FILES = ("error_streak.py", "error_streak.yml")


@pytest.fixture(scope="module")
def grown() -> Iterator[GrownCopy]:
    """A copy with the detector of CONTRIBUTING.md."""
    copy = GrownCopy()
    for file in FILES:
        copy.add(f"{FOLDER}/{file}", example_file(file))
    yield copy
    copy.remove()


def test_commands_list_the_rule_and_run_its_examples(grown: GrownCopy) -> None:
    assert "error-streak" in grown.backwatch("rules", "list").stdout.split()
    assert "backwatch.error.streak" in grown.backwatch("rules", "fields").stdout.split()
    done = grown.backwatch("rules", "test", "error-streak")
    assert done.returncode == 0, done.stderr


def test_a_replay_raises_the_alert_of_the_new_detector(grown: GrownCopy, tmp_path: Path) -> None:
    failing = {**streams.statement("SELECT ?"), names.ERROR_TYPE: "OperationalError"}
    calls = [streams.Call(streams.START_NS + i, streams.SAFE, failing) for i in range(52)]
    [(request, *_)] = streams.records(calls, len(calls))
    (tmp_path / "calls.pb").write_bytes(request)
    done = grown.backwatch("replay", str(tmp_path / "calls.pb"))
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    streaks = [one["evidence"]["backwatch.error.streak"] for one in found if one["detector"] == "error-streak"]
    assert streaks == [50, 51, 52]


def test_detector_and_rule_pass_their_contract_tests(grown: GrownCopy) -> None:
    tests = ("tests/contract/test_every_detector.py", "tests/contract/test_every_rule.py")
    selected = "error-streak or budget or batch or share or without_code"
    done = grown.pytest(*tests, "-k", selected)
    assert done.returncode == 0, done.stdout


def test_documents_list_rule_and_field(grown: GrownCopy) -> None:
    assert grown.run("tools/docs.py").returncode == 0
    rules, facts = ((grown.path / "docs/reference" / name).read_text() for name in ("rules.md", "facts.md"))
    assert "| `error-streak` | low | A Resource Fails Call After Call |" in rules
    assert "| `backwatch.error.streak` | call | number | `error-streak` |" in facts


def test_detector_changes_no_file_outside_the_new_ones(grown: GrownCopy) -> None:
    assert grown.list_added() == [f"{FOLDER}/{file}" for file in FILES]
    assert grown.list_changed() == []
