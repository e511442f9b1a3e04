"""A quiet hour: the real detector judges ordinary apps and must raise no alert.

Every app is a process of its own and makes its calls once. They are replayed on simulated time, as eight days of
past and one hour, through the stream to the real detector and store in a private folder.
"""

import heapq
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.apps import Made, end_ns, made_by
from backwatch.attack.baseline.parts import Part, Said
from backwatch.attack.environment import Child, Stage, StageError, judging, own_environment
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
ODD_WINDOW = "multivariate-anomaly"


def played(parts: Sequence[Part], step: Callable[[str], None]) -> None:
    """Run a quiet hour with these parts, and store each result in its part.

    Args:
        parts: Parts to run.
        step: Receives a text for each step.

    Raises:
        StageError: A component did not start.
    """
    with tempfile.TemporaryDirectory(prefix="backwatch-quiet-") as name, ExitStack() as stack:
        folder = Path(name)
        stage = stack.enter_context(Stage(folder, own_environment()))
        past = stack.enter_context(_judge(stage, folder, "past"))
        hour = stack.enter_context(_judge(stage, folder, "hour"))
        _Play(stage, folder, step).play(parts, past, hour)


class Judge:
    """A detector with a stream and a store of its own.

    Args:
        stage: Where it runs.
        folder: Private folder.
        name: Name of the detector.
    """

    def __init__(self, stage: Stage, folder: Path, name: str) -> None:
        self._stage = stage
        self._stream = StreamSettings(url=f"sqlite:///{folder / name}.stream.db", partitions=1)
        self.store_url = f"sqlite:///{folder / name}.store.db"
        self.store = open_store(self.store_url)
        upgrade(self.store)
        settings = judging(self._stream, self.store_url)
        self._child: Child = stage.start(f"detector.{name}", ("detect", "--no-router"), settings)

    def hears(self, made: Sequence[Made], hour_ns: int, *, past_only: bool) -> int:
        """Publish the calls, wait until all are judged, and return their number.

        Raises:
            StageError: Judging timed out, or some calls were too late to be compared with what is learnt.
        """
        calls = heapq.merge(*(one.told(hour_ns, past_only=past_only) for one in made), key=end_ns)
        count, last_ns = history.publish_told(calls, self._stream)

        def judged() -> bool:
            with self.store.connect() as connection:
                return any(one.watermark_ns >= last_ns + 2 * _WINDOW_NS for one in health(connection).shards)

        self._stage.wait_for("everything is judged", judged, JUDGED_WITHIN_S)
        with self.store.connect() as connection:
            late = health(connection).counters.get("late", 0)
        if late:
            raise StageError(
                f"{late:,} of {count:,} calls were judged as late: what is learnt was not held against them"
            )
        return count

    def leave(self) -> None:
        """Stop the detector."""
        self._stage.dismiss(self._child)


@contextmanager
def _judge(stage: Stage, folder: Path, name: str) -> Generator[Judge]:
    one = Judge(stage, folder, name)
    try:
        yield one
    finally:
        one.store.dispose()


class _Play:
    """The steps of a quiet hour."""

    def __init__(self, stage: Stage, folder: Path, step: Callable[[str], None]) -> None:
        self._stage = stage
        self._folder = folder
        self._step = step

    def play(self, parts: Sequence[Part], past: Judge, hour: Judge) -> None:
        """Run the apps, publish their calls, have them judged, and collect the alerts.

        Args:
            parts: Parts to run. Their outcome is stored in them.
            past: Judges the days before the hour, so that a model can be fitted on them.
            hour: Judges everything.
        """
        for part in parts:
            if not part.driver_version:
                part.outcome = f"not run: {part.driver} is not installed"
        ready = [part for part in parts if not part.outcome]
        self._step(f"{len(ready)} apps at ordinary work, each with an honest service on loopback")
        made = made_by(ready, self._stage, self._folder, Authority(self._folder / "authority"), self._step)
        for one in made:
            one.part.calls += one.count
        hour_ns = time.time_ns() - _GAP_NS - HOUR_NS
        self._fit(past, hour, made, hour_ns)
        self._announce(hour, made)
        count = hour.hears(made, hour_ns, past_only=False)
        self._step(f"judged: {count:,} calls of eight days and the quiet hour, on simulated time")
        for part in ready:
            _look(part, hour, hour_ns)

    def _fit(self, past: Judge, hour: Judge, made: Sequence[Made], hour_ns: int) -> None:
        """Install a model of multivariate anomalies, fitted on the past as users do each night."""
        if importlib.util.find_spec("sklearn") is None:
            self._step(f"scikit-learn is not installed: {ODD_WINDOW} has no model and will say nothing")
            past.leave()
            return
        count = past.hears(made, hour_ns, past_only=True)
        past.leave()
        file = self._folder / "model.npz"
        try:
            fit = self._stage.start("fit", ("fit", "--store-url", past.store_url, "--out", str(file)))
            self._stage.finished(fit)
        except StageError as error:
            self._step(f"{ODD_WINDOW} has no model: {str(error).splitlines()[-1]}")
            return
        with np.load(file, allow_pickle=False) as loaded, writing(hour.store) as connection:
            now_ns = time.time_ns()
            sha256 = models.put_arrays(connection, dict(loaded), now_ns=now_ns)
            entries.append(connection, "model", {"detector": ODD_WINDOW, "sha256": sha256}, now_ns, "attack quiet")
        self._step(f"a model of ordinary minutes is fitted on {count:,} calls of eight days")

    def _announce(self, hour: Judge, made: Sequence[Made]) -> None:
        """Declare what each scene announces, for the resources that the calls went to."""
        for part in {one.part.name: one.part for one in made if one.part.announced}.values():
            where = set[str]().union(*(one.resources() for one in made if one.part is part))
            declared = [{"resource": one, "reason": part.scene.title, **part.announced} for one in sorted(where)]
            document = self._folder / f"{part.name}.yml"
            document.write_text(json.dumps({"profile": 1, "app": part.name, "announced": declared}))
            command = ("profile", "announce", str(document), "--store-url", hour.store_url)
            self._stage.finished(self._stage.start(f"{part.name}.announce", command))

        def taken() -> bool:
            with hour.store.connect() as connection:
                found = health(connection)
            return all(one.entry_id >= found.last_entry for one in found.shards) and bool(found.shards)

        self._stage.wait_for("what was entered is taken", taken, JUDGED_WITHIN_S)


def _look(part: Part, hour: Judge, hour_ns: int) -> None:
    """Store the alerts of the hour. Alerts of the learning days before it are listed separately."""
    with hour.store.connect() as connection:
        rows: Sequence[AlertRow] = list_alerts(connection, AlertFilter(apps=(part.name,)), limit=500).rows
    grave = [one for one in rows if one.level != "informational"]
    part.before = sorted({one.rule for one in grave if one.opened_ns < hour_ns})
    part.told = sorted({one.rule for one in rows if one.level == "informational"})
    part.said = [
        Said(rule=one.rule, level=one.level, count=one.count, key=one.key, evidence=one.evidence)
        for one in grave
        if one.opened_ns >= hour_ns
    ]
