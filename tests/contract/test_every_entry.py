"""Requirements of every attack scenario: it describes itself, it runs, and its declared rule catches it."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import LOOPBACK
from backwatch.attack.scenarios import GROUPS, Scenario, discover, driver_version
from backwatch.detector.rules import rulebook
from tests.contract.golden import live
from tests.contract.golden.renames import Renames

ENTRIES = list(discover())
RULES = {rule.name for rule in rulebook.load().rules}
every_entry = pytest.mark.parametrize("kind", ENTRIES, ids=[kind.name() for kind in ENTRIES])


def test_the_pack_lists_the_recorded_pairs_with_their_rules() -> None:
    recorded = [live.rename(outcome, Renames.load()) for outcome in live.read()]
    expected = {one["scenario"]: one["expected"] for one in recorded if "expected" in one}
    listed = {kind.name(): kind.rule for kind in ENTRIES}
    assert {name: listed.get(name) for name in expected} == expected


@every_entry
def test_scenario_declares_its_attack_source_and_expected_alert(kind: type[Scenario]) -> None:
    assert re.fullmatch(r"[A-H]\d{1,2}", kind.code)
    assert kind.code[0] in GROUPS
    assert len(kind.attack) > 20
    assert not kind.attack.endswith(".")
    assert re.search(r"CVE-\d|ATT&CK T\d|https://", kind.reference)
    assert kind.notices
    assert kind.rule in RULES
    assert driver_version(kind.driver), f"{kind.driver} is not installed here"
    assert kind.__doc__


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@every_entry
def test_its_service_listens_on_loopback_only(kind: type[Scenario], authority: Authority) -> None:
    service = kind.service(authority)
    service.start()
    try:
        assert service._listener.getsockname()[0] == LOOPBACK
    finally:
        service.stop()


@pytest.fixture(scope="module")
def first_on_each_driver() -> dict[str, dict[str, Any]]:
    """Return the output of ``backwatch attack run --json`` for the first attack on each driver (``--all`` is slow)."""
    names = list({kind.driver: kind.name() for kind in reversed(ENTRIES)}.values())
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "attack", "run", "--json", *names],
        capture_output=True, text=True, check=False, timeout=880,
    )  # fmt: skip
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["scenario"] for one in printed] == names, done.stderr[-3000:]
    assert done.returncode == int(not all(one["caught"] for one in printed)), done.stderr[-3000:]
    return {one["scenario"]: one for one in printed}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_first_attack_on_each_driver_raises_only_its_declared_rule(
    first_on_each_driver: dict[str, dict[str, Any]],
) -> None:
    assert [one for one in first_on_each_driver.values() if not one["caught"]] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_attacks_raise_the_golden_alerts_with_the_golden_evidence(
    first_on_each_driver: dict[str, dict[str, Any]],
) -> None:
    renames = Renames.load()
    recorded = {live.rename(outcome, renames)["scenario"] for outcome in live.read()}
    actual = [one for name, one in first_on_each_driver.items() if name in recorded]
    assert live.differences(actual, live.read(), renames) == []
    assert len(actual) >= 25
