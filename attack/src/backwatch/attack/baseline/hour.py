"""A quiet hour: the real detector judges ordinary apps and must raise no alert.

Every app is a process of its own and makes its calls once. They are replayed on simulated time, as eight days of
past and one hour, through the stream to the real detector and store in a private folder.
"""

import heapq
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.apps import RecordedPhase, record_workloads
from backwatch.attack.baseline.workload_runs import FalseAlert, WorkloadRun
from backwatch.attack.environment import Child, ComponentError, Environment, clean_environment, detector_settings
from backwatch.collector.settings import StreamSettings
from backwatch.store import entries, models
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.queries import AlertFilter, AlertRow, health, list_alerts
from backwatch.store.transactions import writing

JUDGED_WITHIN_S = 480.0
"""Kernels may have to be compiled first."""
HOUR_NS = 3_600 * 10**9
_GAP_NS = 310 * 10**9
"""Between the end of the quiet hour and now: longer than the detector waits for late calls."""
_WINDOW_NS = 60 * 10**9
MULTIVARIATE_ANOMALY = "multivariate-anomaly"


def run_quiet_hour(runs: Sequence[WorkloadRun], step: Callable[[str], None]) -> None:
    """Run a quiet hour with these runs, and store each result in its run.

    Args:
        runs: Workload runs.
        step: Receives a text for each step.

    Raises:
        ComponentError: A component did not start.
    """
    with tempfile.TemporaryDirectory(prefix="backwatch-quiet-") as private, ExitStack() as stack:
        folder = Path(private)
        environment = stack.enter_context(Environment(folder, clean_environment()))
        past, hour = (JudgingDetector(environment, folder, name) for name in ("past", "hour"))
        for detector in (past, hour):
            stack.callback(detector.store.dispose)
        QuietHour(environment, folder, step).run(runs, past, hour)


class JudgingDetector:
    """A detector with a stream and a store of its own.

    Args:
        environment: Runs its process.
        folder: Private folder.
        name: Name of the detector.
    """

    def __init__(self, environment: Environment, folder: Path, name: str) -> None:
        self._environment = environment
        self._stream = StreamSettings(url=f"sqlite:///{folder / name}.stream.db", partitions=1)
        self.store_url = f"sqlite:///{folder / name}.store.db"
        self.store = open_store(self.store_url)
        upgrade(self.store)
        settings = detector_settings(self._stream, self.store_url)
        self._child: Child = environment.start(f"detector.{name}", ("detect", "--no-router"), settings)

    def judge(self, recorded: Sequence[RecordedPhase], hour_ns: int, *, past_only: bool) -> int:
        """Publish the calls, wait until all are judged, and return their number.

        Raises:
            ComponentError: Judging timed out, or some calls were too late to be compared with what is learnt.
        """
        calls = heapq.merge(
            *(phase.repetitions(hour_ns, past_only=past_only) for phase in recorded), key=history.end_ns
        )
        count, last_ns = history.publish_calls(calls, self._stream)

        def is_judged() -> bool:
            with self.store.connect() as connection:
                return any(shard.watermark_ns >= last_ns + 2 * _WINDOW_NS for shard in health(connection).shards)

        self._environment.wait_for("everything is judged", is_judged, JUDGED_WITHIN_S)
        with self.store.connect() as connection:
            late = health(connection).counters.get("late", 0)
        if late:
            raise ComponentError(
                f"{late:,} of {count:,} calls were judged as late, and not compared with what is learnt"
            )
        return count

    def stop(self) -> None:
        """Stop the detector."""
        self._environment.kill(self._child)


class QuietHour:
    """The steps of a quiet hour."""

    def __init__(self, environment: Environment, folder: Path, step: Callable[[str], None]) -> None:
        self._environment = environment
        self._folder = folder
        self._step = step

    def run(self, runs: Sequence[WorkloadRun], past: JudgingDetector, hour: JudgingDetector) -> None:
        """Run the apps, publish their calls, have them judged, and collect the alerts.

        Args:
            runs: Workload runs. Their outcome is stored in them.
            past: Judges the days before the hour, so that a model can be fitted on them.
            hour: Judges everything.
        """
        for run in runs:
            if not run.driver_version:
                run.outcome = f"not run: {run.driver} is not installed"
        ready = [run for run in runs if not run.outcome]
        self._step(f"{len(ready)} apps at ordinary work, each with an honest service on loopback")
        recorded = record_workloads(
            ready, self._environment, self._folder, Authority(self._folder / "authority"), self._step
        )
        for phase in recorded:
            phase.run.calls += phase.count
        hour_ns = time.time_ns() - _GAP_NS - HOUR_NS
        self._fit(past, hour, recorded, hour_ns)
        self._announce(hour, recorded)
        count = hour.judge(recorded, hour_ns, past_only=False)
        self._step(f"judged: {count:,} calls of eight days and the quiet hour, on simulated time")
        for run in ready:
            _collect_alerts(run, hour, hour_ns)

    def _fit(
        self, past: JudgingDetector, hour: JudgingDetector, recorded: Sequence[RecordedPhase], hour_ns: int
    ) -> None:
        """Install a model of multivariate anomalies, fitted on the past as users do each night."""
        if importlib.util.find_spec("sklearn") is None:
            self._step(f"scikit-learn is not installed: {MULTIVARIATE_ANOMALY} has no model and will raise nothing")
            past.stop()
            return
        count = past.judge(recorded, hour_ns, past_only=True)
        past.stop()
        file = self._folder / "model.npz"
        try:
            fit = self._environment.start("fit", ("fit", "--store-url", past.store_url, "--out", str(file)))
            self._environment.wait_for_exit(fit)
        except ComponentError as error:
            self._step(f"{MULTIVARIATE_ANOMALY} has no model: {str(error).splitlines()[-1]}")
            return
        with np.load(file, allow_pickle=False) as loaded, writing(hour.store) as connection:
            now_ns = time.time_ns()
            sha256 = models.put_arrays(connection, dict(loaded), now_ns=now_ns)
            entries.append(
                connection, "model", {"detector": MULTIVARIATE_ANOMALY, "sha256": sha256}, now_ns, "attack quiet"
            )
        self._step(f"a model of ordinary minutes is fitted on {count:,} calls of eight days")

    def _announce(self, hour: JudgingDetector, recorded: Sequence[RecordedPhase]) -> None:
        """Declare what each workload announces, for the resources that the calls went to."""
        for run in {phase.run.name: phase.run for phase in recorded if phase.run.announcements}.values():
            resources = set[str]().union(*(phase.resources() for phase in recorded if phase.run is run))
            declared = [
                {"resource": resource, "reason": run.workload.title, **run.announcements}
                for resource in sorted(resources)
            ]
            document = self._folder / f"{run.name}.yml"
            document.write_text(json.dumps({"profile": 1, "app": run.name, "announced": declared}))
            command = ("profile", "announce", str(document), "--store-url", hour.store_url)
            self._environment.wait_for_exit(self._environment.start(f"{run.name}.announce", command))

        def is_applied() -> bool:
            with hour.store.connect() as connection:
                found = health(connection)
            return all(shard.entry_id >= found.last_entry for shard in found.shards) and bool(found.shards)

        self._environment.wait_for("the announcements are applied", is_applied, JUDGED_WITHIN_S)


def _collect_alerts(run: WorkloadRun, hour: JudgingDetector, hour_ns: int) -> None:
    """Store the alerts of the hour. Alerts of the learning days before it are listed separately."""
    with hour.store.connect() as connection:
        rows: Sequence[AlertRow] = list_alerts(connection, AlertFilter(apps=(run.name,)), limit=500).rows
    grave = [alert for alert in rows if alert.level != "informational"]
    run.before = sorted({alert.rule for alert in grave if alert.opened_ns < hour_ns})
    run.informational = sorted({alert.rule for alert in rows if alert.level == "informational"})
    run.false_alerts = [
        FalseAlert(rule=alert.rule, level=alert.level, count=alert.count, key=alert.key, evidence=alert.evidence)
        for alert in grave
        if alert.opened_ns >= hour_ns
    ]
