"""Apps of the quiet hour. Each makes its calls once; its workload's schedule repeats them."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workload_runs import WorkloadRun
from backwatch.attack.baseline.workloads import Phase, Process, WorkloadConfig
from backwatch.attack.environment import Child, ComponentError, Environment
from backwatch.attack.scenarios import MAX_ERROR_CHARS
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.detector.columns.key_texts import resource_key

MAX_RUNNING = 4
"""Apps that run at once."""
PHASE_TIMEOUT_S = 60.0


class RunningWorkload:
    """A workload run with its app: each process in turn, and each phase in order."""

    def __init__(self, environment: Environment, folder: Path, authority: Authority, run: WorkloadRun) -> None:
        self.run = run
        self.service = run.workload.service(run.driver, authority)
        self.service.start()
        run.announcements = run.workload.announcements(self.service)
        self.recorded: list[RecordedPhase] = []
        self._environment = environment
        self._folder = folder / run.name
        self._folder.mkdir()
        self._ca_file = str(authority.ca_file)
        self._left = list(enumerate(run.workload.processes))
        self._child: Child | None = None
        self._since = time.monotonic()

    def advance(self) -> bool:
        """Advance the app if possible, and return whether all work is done.

        Raises:
            ComponentError: The app failed or timed out.
        """
        if self._child is None:
            if not self._left:
                return True
            self._begin(*self._left.pop(0))
            return False
        answers = _lines(Path(self._config.answers))
        if len(answers) < self._entered and self._child.process.poll() is None:
            if time.monotonic() - self._since > PHASE_TIMEOUT_S:
                raise ComponentError(f"{self._child.name} is not done in time: {self._child.log_tail()}")
            return False
        if len(answers) == self._entered < len(self._process.phases):
            self._enter()
            return False
        self._environment.wait_for_exit(self._child)
        self._child = None
        self._gather(answers)
        return False

    def abandon(self) -> None:
        """Stop the app."""
        if self._child is not None:
            self._environment.kill(self._child)

    def _begin(self, number: int, process: Process) -> None:
        self._process, self._entered, name = process, 0, f"{self.run.name}.{number}"
        self._url = f"sqlite:///{self._folder / f'{number}.db'}"
        self._config = WorkloadConfig(
            port=self.service.port, ca_file=self._ca_file, driver=self.run.driver, release=process.release,
            phases=[(phase.name, phase.rounds) for phase in process.phases],
            answers=str(self._folder / f"{number}.answers"),
        )  # fmt: skip
        # Every process uses the same path for its code: a release replaces the last one.
        for file, text in self.run.workload.sources(self.run.driver, process.release).items():
            (self._folder / file).write_text(text)
        more = {
            **self._config.environment(), "OTEL_SERVICE_NAME": self.run.name, "BACKWATCH_STREAM_URL": self._url,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version={process.release}",
        }  # fmt: skip
        command = ("run", "--", sys.executable, str(self._folder / "app.py"))
        self._child = self._environment.start(name, command, more, stdin=True)
        self._enter()

    def _enter(self) -> None:
        child, phase = self._child, self._process.phases[self._entered]
        assert child is not None
        assert child.process.stdin is not None
        stdin = child.process.stdin

        def proceed() -> None:
            stdin.write(b"\n")
            stdin.flush()

        self._entered += 1
        self._since = time.monotonic()
        self.run.workload.enter(phase.name, self.service, proceed)

    def _gather(self, answers: Sequence[Mapping[str, Any]]) -> None:
        calls = history.capture_calls(StreamSettings(url=self._url))
        if not calls or len(answers) != len(self._process.phases):
            raise ComponentError(f"{self.run.name}: the app left no calls behind")
        until = [int(answer["begun_ns"]) for answer in answers[1:]] + [1 << 63]
        since = 0
        for phase, end in zip(self._process.phases, until, strict=True):
            phase_calls = [call for call in calls if since <= history.end_ns(call) < end]
            since = end
            if phase_calls:
                self.recorded.append(RecordedPhase(self.run, phase, phase_calls))


@dataclass(frozen=True, slots=True)
class RecordedPhase:
    """The recorded calls of one phase."""

    run: WorkloadRun
    phase: Phase
    calls: list[history.CapturedCall]

    @property
    def count(self) -> int:
        """Return the number of calls in all repetitions."""
        return len(self.calls) * len(list(self.phase.starts_s()))

    def repetitions(self, hour_ns: int, *, past_only: bool) -> Iterator[history.CapturedCall]:
        """Yield all repetitions in order, or only those that begin before the hour."""
        for at_s in self.phase.starts_s():
            if at_s < 0 or not past_only:
                as_it_was_ns = history.end_ns(self.calls[-1]) + 1 - history.end_ns(self.calls[0])
                lasting_ns = int(self.phase.lasting_s * 1e9) or as_it_was_ns
                yield from history.repeat_calls_once(self.calls, hour_ns + int(at_s * 1e9), lasting_ns)

    def resources(self) -> set[str]:
        """Return the resources that these calls went to, as alerts show them."""
        found = set[str]()
        for _, scope, span in self.calls:
            facts = {fact.key: fact.value for fact in (*scope.scope.attributes, *span.attributes)}
            system = next((facts[name].string_value for name in names.SYSTEMS if name in facts), "")
            endpoint = facts[names.SERVER_ADDRESS].string_value if names.SERVER_ADDRESS in facts else ""
            if names.SERVER_PORT in facts:
                endpoint += f":{facts[names.SERVER_PORT].int_value}"
            namespace = facts[names.DB_NAMESPACE].string_value if names.DB_NAMESPACE in facts else ""
            found.add(resource_key(("", system, endpoint, namespace)).resource)
        return found


def record_workloads(
    runs: Sequence[WorkloadRun],
    environment: Environment,
    folder: Path,
    authority: Authority,
    step: Callable[[str], None],
) -> list[RecordedPhase]:
    """Run the apps, a few at a time. A failure is stored in the outcome of its run."""
    waiting, running, recorded, done = list(runs), list[RunningWorkload](), list[RecordedPhase](), 0
    while waiting or running:
        while waiting and len(running) < MAX_RUNNING:
            running.append(RunningWorkload(environment, folder, authority, waiting.pop(0)))
        for app in list(running):
            try:
                finished = app.advance()
            except (ComponentError, OSError) as error:
                app.abandon()
                app.run.outcome = f"failed: {str(error).splitlines()[-1][:MAX_ERROR_CHARS]}"
                finished = True
            if finished:
                running.remove(app)
                app.service.stop()
                recorded += app.recorded if not app.run.outcome else []
                done += 1
                if done % 10 == 0:
                    step(f"{done} of {len(runs)} have done their work")
        time.sleep(0.02)
    return recorded


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")] if file.exists() else []
