"""Ordinary work raises no alert in the quiet hour. Other work does, and the exit code is 1."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from backwatch.attack.baseline.hour import played
from backwatch.attack.baseline.parts import parts_of
from backwatch.attack.baseline.workloads import DAY_S, PAST_DAYS, Scene, daily, discover, minutely, once, past, run
from backwatch.attack.baseline.workloads.fail_over import FailOver
from backwatch.attack.protocols.server import HostileServer

SCENES = list(discover())
every_scene = pytest.mark.parametrize("kind", SCENES, ids=[kind.name() for kind in SCENES])


class FailOverNobodyAnnounced(FailOver):
    """The same fail-over, without a declaration in the profile."""

    drivers = ("psycopg2",)

    @classmethod
    def announced(cls, service: HostileServer) -> Mapping[str, Sequence[str]]:
        """Return no declarations."""
        del service
        return {}


@every_scene
def test_scene_describes_its_work_and_its_false_positive_risk(kind: type[Scene]) -> None:
    assert kind.__doc__
    assert len(kind.title) > 20
    assert len(kind.naive) > 20
    assert not kind.title.endswith(".")
    assert not kind.naive.endswith(".")
    assert kind.played_on()


@every_scene
def test_scene_covers_eight_past_days_and_the_hour(kind: type[Scene]) -> None:
    spells = [spell for process in kind.processes for spell in process.spells]
    assert min(spell.begins_s for spell in spells) <= -PAST_DAYS * DAY_S
    assert max(spell.ends_s for spell in spells) >= 2_900
    assert max(at_s + spell.lasting_s for spell in spells for at_s in spell.reports_s()) <= 3_600


def test_spells_repeat_on_their_schedule() -> None:
    assert len(list(past(6).reports_s())) == PAST_DAYS * 24 / 6
    assert list(daily("night", 1, 900, 60).reports_s()) == [900 - day * DAY_S for day in range(PAST_DAYS, 0, -1)]
    assert list(minutely(rounds=6, begins_s=1_800).reports_s()) == [1_800, 2_160, 2_520, 2_880, 3_240]
    assert list(once("month", 1, 1_500, 60).reports_s()) == [1_500]


def test_unknown_scene_is_rejected() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "attack", "quiet", "noisy"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no scene is called 'noisy'" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_undeclared_fail_over_raises_an_alert() -> None:
    parts = parts_of([FailOverNobodyAnnounced])
    played(parts, lambda _: None)
    assert [{finding.rule for finding in part.said} for part in parts] == [{"certificate-changed"}]
    assert not parts[0].quiet


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_scene_raises_an_alert_above_informational() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "attack", "quiet", "--json"],
        capture_output=True, text=True, check=False, timeout=880,
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {result["scene"] for result in results} == {kind.name() for kind in SCENES}, done.stderr[-3000:]
    assert len({result["driver"] for result in results}) >= 29
    assert [result for result in results if result["outcome"] != "played" or not result["quiet"]] == []
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    run(FailOverNobodyAnnounced)
