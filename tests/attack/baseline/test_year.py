"""Scenarios of the quiet year: what each must state, that a seed decides everything, and how alerts are counted."""

import itertools
import subprocess
import sys
from dataclasses import replace

import pytest

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.judge import judge
from backwatch.attack.baseline.year.run import describe, describe_alert
from backwatch.attack.baseline.year.scenario import YearScenario, discover
from backwatch.attack.baseline.year.services import postgresql
from backwatch.collector.pipeline.encoder import encode_calls

SCENARIOS = list(discover())
PLAYED = (
    "minor-upgrades", "private-ca-early", "cron-weekly-quarterly", "two-sizes", "daily-error-bursts", "backup-later",
)  # fmt: skip
"""Scenarios that are played in full here. ``make bench NAME=quiet_year`` plays all, and names those not silent yet."""
every_scenario = pytest.mark.parametrize("kind", SCENARIOS, ids=[kind.name() for kind in SCENARIOS])


class ServerMoved(YearScenario):
    """A database that becomes another server, twice: that is no ordinary life."""

    title = "a database that becomes another server without a reason, twice"
    naive = "it is an attack"
    days = 6

    def set_up(self) -> None:
        self.database = postgresql(self.source)

    def play(self, hour: Hour) -> None:
        if hour.day in (3, 5) and hour.is_at(12):
            self.database.nodes = [replace(postgresql(self.source).nodes[0], peer=f"203.0.113.{hour.day}")]
        self.ordinary(hour, self.database, SQL)


def first_bytes(kind: type[YearScenario], seed: int, blocks: int = 40) -> list[bytes]:
    """Return the first records of a scenario."""
    found = itertools.islice(kind(seed).bursts(), blocks)
    return [encode_calls(burst.pod.app, burst.calls) for _, bursts in found for burst in bursts]


@every_scenario
def test_scenario_describes_its_work_and_its_false_positive_risk(kind: type[YearScenario]) -> None:
    assert kind.__doc__
    assert len(kind.title) > 20
    assert len(kind.naive) > 10
    assert not kind.title.endswith(".")
    assert 50 <= kind.days <= 366


@every_scenario
def test_seed_decides_every_byte(kind: type[YearScenario]) -> None:
    assert first_bytes(kind, 1) == first_bytes(kind, 1)
    assert first_bytes(kind, 1) != first_bytes(kind, 2)


def test_alert_is_counted_once_per_episode() -> None:
    result = judge(ServerMoved)
    assert not result.faults
    assert result.calls > 1_000
    assert {alert.rule for alert in result.alerts} == {"server-changed"}
    assert [alert.at_days for alert in result.alerts] == pytest.approx([3.5], abs=0.1)
    assert not result.is_quiet
    assert "server-changed" in describe(result)
    assert "server-changed (medium) postgresql db.shop.internal" in describe_alert(result.alerts[0])


def test_unknown_scenario_is_rejected() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "attack", "quiet", "--year", "--scenario", "noisy"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no scenario is named 'noisy'" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", [kind for kind in SCENARIOS if kind.name() in PLAYED], ids=lambda kind: kind.name())
def test_no_scenario_of_the_year_raises_an_alert_above_informational(kind: type[YearScenario]) -> None:
    result = judge(kind)
    assert [describe_alert(alert) for alert in result.alerts] == []
    assert result.is_quiet
