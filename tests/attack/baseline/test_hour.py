"""Ordinary work raises no alert in the quiet hour. Other work does, and the exit code is 1."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from backwatch.attack.baseline.hour import run_quiet_hour
from backwatch.attack.baseline.workload_runs import runs_of
from backwatch.attack.baseline.workloads import DAY_S, PAST_DAYS, Workload, daily, discover, minutely, once, past, run
from backwatch.attack.baseline.workloads.fail_over import FailOver
from backwatch.attack.protocols.server import HostileServer

WORKLOADS = list(discover())
every_workload = pytest.mark.parametrize("kind", WORKLOADS, ids=[kind.name() for kind in WORKLOADS])


class FailOverNobodyAnnounced(FailOver):
    """The same fail-over, without a declaration in the profile."""

    drivers = ("psycopg2",)

    @classmethod
    def announcements(cls, service: HostileServer) -> Mapping[str, Sequence[str]]:
        """Return no declarations."""
        del service
        return {}


@every_workload
def test_scene_describes_its_work_and_its_false_positive_risk(kind: type[Workload]) -> None:
    assert kind.__doc__
    assert len(kind.title) > 20
    assert len(kind.naive) > 20
    assert not kind.title.endswith(".")
    assert not kind.naive.endswith(".")
    assert kind.client_libraries()


@every_workload
def test_scene_covers_eight_past_days_and_the_hour(kind: type[Workload]) -> None:
    phases = [phase for process in kind.processes for phase in process.phases]
    assert min(phase.begins_s for phase in phases) <= -PAST_DAYS * DAY_S
    assert max(phase.ends_s for phase in phases) >= 2_900
    assert max(at_s + phase.lasting_s for phase in phases for at_s in phase.starts_s()) <= 3_600


def test_spells_repeat_on_their_schedule() -> None:
    assert len(list(past(6).starts_s())) == PAST_DAYS * 24 / 6
    assert list(daily("night", 1, 900, 60).starts_s()) == [900 - day * DAY_S for day in range(PAST_DAYS, 0, -1)]
    assert list(minutely(rounds=6, begins_s=1_800).starts_s()) == [1_800, 2_160, 2_520, 2_880, 3_240]
    assert list(once("month", 1, 1_500, 60).starts_s()) == [1_500]


def test_unknown_scene_is_rejected() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "attack", "quiet", "noisy"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no workload is named 'noisy'" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_undeclared_fail_over_raises_an_alert() -> None:
    runs = runs_of([FailOverNobodyAnnounced])
    run_quiet_hour(runs, lambda _: None)
    assert [{finding.rule for finding in run.false_alerts} for run in runs] == [{"server-changed"}]
    assert not runs[0].is_quiet


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_scene_raises_an_alert_above_informational() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "attack", "quiet", "--json"],
        capture_output=True, text=True, check=False, timeout=880,
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {result["workload"] for result in results} == {kind.name() for kind in WORKLOADS}, done.stderr[-3000:]
    assert len({result["driver"] for result in results}) >= 29
    assert [result for result in results if result["outcome"] != "completed" or not result["quiet"]] == []
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    run(FailOverNobodyAnnounced)
