"""Apps of the quiet hour. Each makes its calls once; the scene's schedule repeats them."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.parts import Part
from backwatch.attack.baseline.workloads import Place, Process, Spell
from backwatch.attack.environment import Child, Stage, StageError
from backwatch.attack.scenarios import MAX_ERROR_CHARS
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.detector.columns.key_texts import resource_key

AT_ONCE = 4
"""Maximum number of apps that run at once."""
PATIENCE_S = 60.0


class Working:
    """One part with its running app. It runs each process in turn, and each spell in order."""

    def __init__(self, stage: Stage, folder: Path, authority: Authority, part: Part) -> None:
        self.part = part
        self.service = part.scene.service(part.driver, authority)
        self.service.start()
        part.announced = part.scene.announced(self.service)
        self.made: list[Made] = []
        self._stage = stage
        self._folder = folder / part.name
        self._folder.mkdir()
        self._ca_file = str(authority.ca_file)
        self._left = list(enumerate(part.scene.processes))
        self._child: Child | None = None
        self._since = time.monotonic()

    def further(self) -> bool:
        """Advance the app if possible, and return whether all work is done.

        Raises:
            StageError: The app failed or timed out.
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
        """Stop the app."""
        if self._child is not None:
            self._stage.dismiss(self._child)

    def _begin(self, number: int, process: Process) -> None:
        self._process, self._entered, name = process, 0, f"{self.part.name}.{number}"
        self._url = f"sqlite:///{self._folder / f'{number}.db'}"
        self._place = Place(
            port=self.service.port, ca_file=self._ca_file, driver=self.part.driver, release=process.release,
            spells=[(one.name, one.rounds) for one in process.spells], answers=str(self._folder / f"{number}.answers"),
        )  # fmt: skip
        # Every process uses the same path for its code: a release replaces the last one.
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
            spell_calls = [one for one in calls if since <= end_ns(one) < end]
            since = end
            if spell_calls:
                self.made.append(Made(self.part, spell, spell_calls))


@dataclass(frozen=True, slots=True)
class Made:
    """The recorded calls of one spell."""

    part: Part
    spell: Spell
    calls: list[history.Told]

    @property
    def count(self) -> int:
        """Return the number of calls in all repetitions."""
        return len(self.calls) * len(list(self.spell.tellings_s()))

    def told(self, hour_ns: int, *, past_only: bool) -> Iterator[history.Told]:
        """Yield all repetitions in order, or only those that begin before the hour."""
        for at_s in self.spell.tellings_s():
            if at_s < 0 or not past_only:
                as_it_was_ns = end_ns(self.calls[-1]) + 1 - end_ns(self.calls[0])
                lasting_ns = int(self.spell.lasting_s * 1e9) or as_it_was_ns
                yield from history.retold_once(self.calls, hour_ns + int(at_s * 1e9), lasting_ns)

    def resources(self) -> set[str]:
        """Return the resources that these calls went to, as alerts show them."""
        found = set[str]()
        for _, scope, span in self.calls:
            told = {one.key: one.value for one in (*scope.scope.attributes, *span.attributes)}
            system = next((told[name].string_value for name in names.SYSTEMS if name in told), "")
            place = told[names.SERVER_ADDRESS].string_value if names.SERVER_ADDRESS in told else ""
            if names.SERVER_PORT in told:
                place += f":{told[names.SERVER_PORT].int_value}"
            within = told[names.DB_NAMESPACE].string_value if names.DB_NAMESPACE in told else ""
            found.add(resource_key(("", system, place, within)).resource)
        return found


def end_ns(told: history.Told) -> int:
    """Return the end time of a call."""
    return told[2].end_time_unix_nano


def made_by(
    parts: Sequence[Part], stage: Stage, folder: Path, authority: Authority, step: Callable[[str], None]
) -> list[Made]:
    """Run the apps of these parts, a few at a time. A failure is stored in its part's outcome."""
    waiting, running, made, done = list(parts), list[Working](), list[Made](), 0
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            running.append(Working(stage, folder, authority, waiting.pop(0)))
        for one in list(running):
            try:
                finished = one.further()
            except (StageError, OSError) as error:
                one.abandon()
                one.part.outcome = f"failed: {str(error).splitlines()[-1][:MAX_ERROR_CHARS]}"
                finished = True
            if finished:
                running.remove(one)
                one.service.stop()
                made += one.made if not one.part.outcome else []
                done += 1
                if done % 10 == 0:
                    step(f"{done} of {len(parts)} have done their work")
        time.sleep(0.02)
    return made


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in file.read_text().splitlines() if one.endswith("}")] if file.exists() else []
