"""A quiet hour: apps at ordinary work of all kinds, judged by the real detector, of which nothing is to be said.

Every app is a process of its own and really makes its calls, once; they are told on simulated time, as eight days of
past and one hour, through the stream to the real detector and store in a private folder.
"""

import heapq
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as StoreEngine

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.entries import MOST_TOLD, driver_version
from backwatch.attack.scenes import Place, Process, Scene, Spell
from backwatch.attack.servers import HostileServer
from backwatch.attack.stage import Child, Stage, StageError, own_environment
from backwatch.collector.settings import StreamSettings
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.queries import AlertFilter, AlertRow, get_alert, list_alerts, list_resources, shard_rows

AT_ONCE = 4
"""Apps that are at work side by side."""
PATIENCE_S = 60.0
JUDGED_WITHIN_S = 480.0
"""Kernels may have to be compiled first."""
ENTRIES_TAKEN_S = 1.5
"""What is entered is taken within a second."""
HOUR_NS = 3_600 * 10**9
_GAP_NS = 300 * 10**9
"""Between the end of the quiet hour and now: longer than the detector waits for what comes late."""
_WINDOW_NS = 60 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An alert above informational: a finding about Backwatch."""

    rule: str
    level: str
    count: int
    key: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Part:
    """One scene on one driver, and what became of it.

    Attributes:
        outcome: Empty: it was played; else ``not run: …`` or ``failed: …``.
        announced: What the profile says of its service, by its words.
        calls: That were judged.
        said: What should not have been.
        told: Names of informational rules that spoke up.
    """

    scene: type[Scene]
    driver: str
    driver_version: str
    outcome: str = ""
    announced: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    calls: int = 0
    said: list[Said] = field(default_factory=list[Said])
    told: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        """The app's."""
        return f"{self.scene.name()}-{self.driver}"

    @property
    def quiet(self) -> bool:
        """Whether nothing above informational was said, of something."""
        return not self.said and not self.outcome.startswith("failed")

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "scene": self.scene.name(), "driver": self.driver, "driver_version": self.driver_version,
            "title": self.scene.title, "naive": self.scene.naive, "outcome": self.outcome or "played",
            "calls": self.calls, "informational": self.told, "quiet": self.quiet,
            "said": [
                {"rule": one.rule, "level": one.level, "count": one.count, "key": one.key, "evidence": one.evidence}
                for one in self.said
            ],
        }  # fmt: skip


def parts_of(scenes: Iterable[type[Scene]]) -> list[Part]:
    """Every scene on each of its drivers."""
    return [
        Part(scene=scene, driver=driver, driver_version=driver_version(driver))
        for scene in scenes
        for driver in scene.played_on()
    ]


def played(parts: Sequence[Part], step: Callable[[str], None]) -> None:
    """Plays a quiet hour with these parts, and writes into each what became of it.

    Args:
        parts: Which ones.
        step: Is told what goes on.

    Raises:
        StageError: Something did not come up.
    """
    with _opened(step) as hour:
        hour.play(parts)


@contextmanager
def _opened(step: Callable[[str], None]) -> Generator["QuietHour"]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backwatch-quiet-")))
        store_url = f"sqlite:///{folder / 'store.db'}"
        stream = StreamSettings(url=f"sqlite:///{folder / 'stream.db'}", partitions=1)
        settings = {
            "BACKWATCH_STREAM_URL": stream.url, "BACKWATCH_STREAM_PARTITIONS": "1", "BACKWATCH_STORE_URL": store_url,
            "BACKWATCH_DETECTOR_COMMIT_INTERVAL_S": "0.2", "BACKWATCH_DETECTOR_LOOPBACK": "judge",
        }  # fmt: skip
        store = open_store(store_url)
        stack.callback(store.dispose)
        upgrade(store)
        stage = stack.enter_context(Stage(folder, own_environment() | settings))
        yield QuietHour(stage, folder, stream, store, step)


class QuietHour:
    """Apps at ordinary work, and one detector that judges them all.

    Args:
        stage: Where the processes run.
        folder: Private; everything is in it.
        stream, store: What the detector reads and writes.
        step: Is told what goes on.
    """

    def __init__(
        self, stage: Stage, folder: Path, stream: StreamSettings, store: StoreEngine, step: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._folder = folder
        self._stream = stream
        self._store = store
        self._step = step
        self._authority = Authority(folder / "authority")

    def play(self, parts: Sequence[Part]) -> None:
        """Has the apps work, tells it, has it judged, and looks what is said."""
        for part in parts:
            if not part.driver_version:
                part.outcome = f"not run: {part.driver} is not installed"
        ready = [part for part in parts if not part.outcome]
        self._step(f"{len(ready)} apps at ordinary work, each with an honest service on loopback")
        self._stage.start("detector", ("detect",))  # it compiles meanwhile
        made = list(self._made(ready))
        hour_ns = time.time_ns() - _GAP_NS - HOUR_NS
        past = self._tell(made, hour_ns, begun=False)
        self._step(f"what is normal is learnt from {past:,} calls of eight days, on simulated time")
        self._fit()
        self._announce(ready)
        hour = self._tell(made, hour_ns, begun=True)
        self._step(f"the quiet hour: {hour:,} calls")
        for part in ready:
            self._look(part)

    def _made(self, parts: Sequence[Part]) -> Iterable["_Made"]:
        waiting, running = list(parts), list[_Working]()
        done = 0
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                part = waiting.pop(0)
                service = part.scene.service(part.driver, self._authority)
                service.start()
                part.announced = part.scene.announced(service)
                running.append(_Working(self._stage, self._folder, self._authority, part, service))
            for one in list(running):
                try:
                    finished = one.further()
                except StageError as error:
                    one.abandon()
                    one.part.outcome = f"failed: {str(error).splitlines()[-1][:MOST_TOLD]}"
                    finished = True
                if finished:
                    one.service.stop()
                    running.remove(one)
                    done += 1
                    if done % 10 == 0:
                        self._step(f"{done} of {len(parts)} have done their work")
                    if not one.part.outcome:
                        yield from one.made
            time.sleep(0.02)

    def _tell(self, made: Sequence["_Made"], hour_ns: int, *, begun: bool) -> int:
        """Publishes what belongs before the hour, or into it, and waits until it is judged; how many calls it was."""
        told = heapq.merge(*(one.told(hour_ns, begun=begun) for one in made), key=_end_ns)
        count, last_ns = history.publish_told(told, self._stream)
        if not count:
            return 0
        # Before the hour nothing moves time on but calls; after it the owner's own clock closes the last minute.
        last_ns += 2 * _WINDOW_NS if begun else 0

        def judged() -> bool:
            with self._store.connect() as connection:
                return any(one.watermark_ns >= last_ns for one in shard_rows(connection))

        self._stage.wait_for("everything is judged", judged, JUDGED_WITHIN_S)
        return count

    def _fit(self) -> None:
        """The model of odd minutes, as its users fit it each night."""
        if importlib.util.find_spec("sklearn") is None:
            self._step("scikit-learn is not installed: odd-window has no model and will say nothing")
            return
        try:
            self._stage.finished(self._stage.start("fit", ("fit",)))
        except StageError as error:
            self._step(f"odd-window has no model: {str(error).splitlines()[-1]}")

    def _announce(self, parts: Sequence[Part]) -> None:
        """Enters what is announced, for the resources as the store knows them by now."""
        for number, part in enumerate(one for one in parts if one.announced and not one.outcome):
            with self._store.connect() as connection:
                rows = list_resources(connection, app=part.name)
            where = [f"{one.system} {one.endpoint}" + (f"/{one.namespace}" if one.namespace else "") for one in rows]
            said = [{"resource": one, "reason": part.scene.title, **part.announced} for one in where]
            document = self._folder / f"profile.{number}.yml"
            document.write_text(json.dumps({"profile": 1, "app": part.name, "announced": said}))
            self._stage.finished(self._stage.start(f"announce.{number}", ("profile", "announce", str(document))))
        time.sleep(ENTRIES_TAKEN_S)

    def _look(self, part: Part) -> None:
        with self._store.connect() as connection:
            rows: Sequence[AlertRow] = list_alerts(connection, AlertFilter(apps=(part.name,)), limit=500).rows
            part.told = sorted({one.rule for one in rows if one.level == "informational"})
            for one in rows:
                if one.level != "informational":
                    detail = get_alert(connection, one.id)
                    evidence = detail.alert.evidence if detail else {}
                    part.said.append(
                        Said(rule=one.rule, level=one.level, count=one.count, key=one.key, evidence=evidence)
                    )


class _Working:
    """A part whose app is at work: its processes one after the other, each spell when the last one is done."""

    def __init__(self, stage: Stage, folder: Path, authority: Authority, part: Part, service: HostileServer) -> None:
        self.part = part
        self.service = service
        self.made: list[_Made] = []
        self._stage = stage
        self._folder = folder / part.name
        self._folder.mkdir()
        self._ca_file = str(authority.ca_file)
        self._left = list(enumerate(part.scene.processes))
        self._child: Child | None = None
        self._since = time.monotonic()

    def further(self) -> bool:
        """Goes on where it can; whether all is done.

        Raises:
            StageError: The app failed, or is not done in time.
        """
        if self._child is None:
            if not self._left:
                return True
            self._begin(*self._left.pop(0))
            return False
        answers = _lines(Path(self._place.answers))
        if len(answers) < self._entered and self._child.process.poll() is None:
            if time.monotonic() - self._since > PATIENCE_S:
                raise StageError(f"{self._child.name} is not done in time: {self._child.last_words()}")
            return False
        if len(answers) == self._entered < len(self._process.spells):
            self._enter()
            return False
        self._stage.finished(self._child)
        self._child = None
        self._gather(answers)
        return False

    def abandon(self) -> None:
        """Ends its app."""
        if self._child is not None:
            self._stage.dismiss(self._child)

    def _begin(self, number: int, process: Process) -> None:
        self._process, self._entered, name = process, 0, f"{self.part.name}.{number}"
        self._url = f"sqlite:///{self._folder / f'{number}.db'}"
        self._place = Place(
            port=self.service.port, ca_file=self._ca_file, driver=self.part.driver, release=process.release,
            spells=[(one.name, one.rounds) for one in process.spells], answers=str(self._folder / f"{number}.answers"),
        )  # fmt: skip
        # Every process has its code at the same place: a release is rolled out over the last one.
        for file, text in self.part.scene.sources(self.part.driver, process.release).items():
            (self._folder / file).write_text(text)
        more = {
            **self._place.environment(), "OTEL_SERVICE_NAME": self.part.name, "BACKWATCH_STREAM_URL": self._url,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version={process.release}",
        }  # fmt: skip
        command = ("run", "--", sys.executable, str(self._folder / "app.py"))
        self._child = self._stage.start(name, command, more, stdin=True)
        self._enter()

    def _enter(self) -> None:
        child, spell = self._child, self._process.spells[self._entered]
        assert child is not None
        assert child.process.stdin is not None
        stdin = child.process.stdin

        def go() -> None:
            stdin.write(b"\n")
            stdin.flush()

        self._entered += 1
        self._since = time.monotonic()
        self.part.scene.enter(spell.name, self.service, go)

    def _gather(self, answers: Sequence[Mapping[str, Any]]) -> None:
        calls = history.captured(StreamSettings(url=self._url))
        if not calls or len(answers) != len(self._process.spells):
            raise StageError(f"{self.part.name}: the app left no calls behind")
        until = [int(one["begun_ns"]) for one in answers[1:]] + [1 << 63]
        since = 0
        for spell, end in zip(self._process.spells, until, strict=True):
            mine = [one for one in calls if since <= _end_ns(one) < end]
            since = end
            if mine:
                self.made.append(_Made(self.part, spell, mine))


@dataclass(frozen=True, slots=True)
class _Made:
    """The calls of one spell, as they were really made."""

    part: Part
    spell: Spell
    calls: list[history.Told]

    def told(self, hour_ns: int, *, begun: bool) -> Iterable[history.Told]:
        """All its tellings that begin before the hour, or once it has begun, in order."""
        for at_s in self.spell.tellings_s():
            if (at_s >= 0) is begun:
                self.part.calls += len(self.calls)
                first_ns, lasting_ns = hour_ns + int(at_s * 1e9), int(self.spell.lasting_s * 1e9)
                yield from history.retold_once(self.calls, first_ns, lasting_ns)


def _end_ns(told: history.Told) -> int:
    return told[2].end_time_unix_nano


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in file.read_text().splitlines() if one.endswith("}")] if file.exists() else []
