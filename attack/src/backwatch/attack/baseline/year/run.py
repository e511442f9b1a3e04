"""Runs scenarios of the quiet year in parallel processes, and prints what they raised."""

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Final

from backwatch.attack.baseline.year.judge import YearAlert, YearResult, judge
from backwatch.attack.baseline.year.scenario import YearScenario, discover

MAX_EVIDENCE: Final = 400
"""Characters of an alert's evidence that are printed."""
_GIVEN: Final = frozenset(("service.name", "span.name", "network.transport", "code.line.number"))
"""Facts that explain no alert of a scenario."""


def run_year(kinds: Sequence[type[YearScenario]]) -> Iterator[YearResult]:
    """Yield the result of each scenario as it ends; the longest begin first."""
    ordered = sorted(kinds, key=lambda kind: -kind.days * (kind.per_hour + 300 * kind.blocks))
    workers = min(os.cpu_count() or 1, len(ordered))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(_judge_named, kind.name()) for kind in ordered]):
            yield done.result()


def _judge_named(name: str) -> YearResult:
    return judge(next(kind for kind in discover() if kind.name() == name))


def describe(result: YearResult) -> str:
    """Return one line about a scenario."""
    rules = ", ".join(sorted({alert.rule for alert in result.alerts})) or "nothing"
    faults = f"; {result.faults} faults or late calls" if result.faults else ""
    return (
        f"{result.scenario:26} {result.days:4} days {result.calls:9,} calls {result.took_s:6.1f} s "
        f"{result.per_week:6.2f} alerts a week: {rules}{faults}"
    )


def describe_alert(alert: YearAlert) -> str:
    """Return one line about an alert."""
    facts: Mapping[str, Any] = {name: value for name, value in alert.evidence.items() if name not in _GIVEN}
    return f"  day {alert.at_days:7.3f} {alert.rule} ({alert.level}) {alert.key}: {json.dumps(facts)[:MAX_EVIDENCE]}"
