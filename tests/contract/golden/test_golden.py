"""Golden findings: recorded input gives the recorded findings, modulo the written table of renames.

``live.py`` compares live runs; ``tests/contract/test_every_entry.py`` uses it on the run that it makes.
"""

import json
from pathlib import Path

import pytest

from tests.contract.golden import findings, live, outside
from tests.contract.golden.record import OUTSIDE, PACK, QUIET, findings_file, judge_recorded
from tests.contract.golden.renames import Renames

MAX_LINES = 25
"""Differences that a failure shows."""
RENAMES = Renames.load()


def fail_on(differences: list[str]) -> None:
    """Fail where there are differences, and show the first of them."""
    if differences:
        more = f"\n… {len(differences) - MAX_LINES} more" if len(differences) > MAX_LINES else ""
        pytest.fail("\n".join(differences[:MAX_LINES]) + more, pytrace=False)


@pytest.mark.parametrize("name", [PACK, QUIET])
def test_recorded_input_gives_the_recorded_findings(name: str) -> None:
    found = judge_recorded(name, RENAMES)
    recorded = findings.read(findings_file(name))
    fail_on(findings.differences(recorded, [alert for alerts in found.values() for alert in alerts], RENAMES))


def test_every_recorded_attack_is_among_the_findings_on_its_input() -> None:
    fired = {(alert["app"], RENAMES.rule(alert["rule"])) for alert in findings.read(findings_file(PACK))}
    renamed = (live.rename(outcome, RENAMES) for outcome in live.read())
    expected = {(outcome["scenario"], outcome["expected"]) for outcome in renamed if "expected" in outcome}
    assert len(expected) >= 230
    assert expected - fired == set()


def test_recorded_alert_ids_are_hashes_of_rule_and_key() -> None:
    recorded = findings.read(findings_file(PACK)) + findings.read(findings_file(QUIET))
    assert [one for one in recorded if one["alert_id"] != findings.alert_id(one["rule"], one["key"])] == []


@pytest.mark.data
@pytest.mark.parametrize("name", json.loads(OUTSIDE.read_text()))
def test_outside_data_gives_the_recorded_counts_and_hashes(name: str, data_folder: Path) -> None:
    recorded = json.loads(OUTSIDE.read_text())[name]
    fail_on(outside.differences(name, recorded, outside.sums_of(data_folder, name, RENAMES)))
