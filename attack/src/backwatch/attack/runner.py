"""Runs scenarios: an honest past on simulated time, then each service turns hostile, live.

Every app is a process of its own; detector and store are the real ones, in a private folder. All pasts are published
before any live call, in one order: the detector's time only advances.
"""

import heapq
import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as StoreEngine

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.environment import (
    Child,
    ComponentError,
    ConditionNotMet,
    Environment,
    clean_environment,
    detector_settings,
)
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import MAX_ERROR_CHARS, SUCCEEDED, AppConfig, Scenario, driver_version
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import open_consumer
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.queries import AlertFilter, AlertRow, list_alerts, shard_rows

CAUGHT_WITHIN_S = 10.0
"""Seconds since the service turned hostile."""
PAST_ROUNDS = 6
"""Number of rounds of its past that each app really makes."""
PAST_HOURS = 8 * 24.0
PAST_ROUND_EVERY_S = 3_600.0
"""A round an hour for eight days: longer than any learning period."""
LIVE_ROUNDS = 2
MAX_RUNNING = 3
"""Apps that record their past at once."""
COMPILED_WITHIN_S = 240.0


@dataclass(slots=True, kw_only=True)
class ScenarioResult:
    """The result of one scenario.

    Attributes:
        outcome: ``succeeded``, ``refused by pymysql 1.2.4``, ``only with …``, ``not run: …``, ``failed: …``.
        alerts: Alerts above informational about this app.
        seconds: From the turn to the alert, or ``None`` if it was not raised.
    """

    scenario: type[Scenario]
    driver_version: str
    outcome: str = ""
    alerts: Sequence[AlertRow] = ()
    seconds: float | None = None

    @property
    def raised(self) -> list[str]:
        """Return the rules that raised an alert, without informational ones."""
        return sorted({row.rule for row in self.alerts})

    @property
    def has_run(self) -> bool:
        """Return whether the scenario could run here."""
        return not self.outcome.startswith("not run")

    @property
    def caught(self) -> bool:
        """Return whether the declared rule raised an alert in time, and no other rule did."""
        in_time = self.seconds is not None and self.seconds <= CAUGHT_WITHIN_S
        return in_time and self.raised == [self.scenario.rule] and not self.outcome.startswith("failed")

    def document(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "scenario": self.scenario.name(), "code": self.scenario.code, "driver": self.scenario.driver,
            "driver_version": self.driver_version, "outcome": self.outcome, "expected": self.scenario.rule,
            "raised": self.raised, "caught": self.caught,
            "seconds": None if self.seconds is None else round(self.seconds, 2),
            "alerts": [
                {"rule": row.rule, "level": row.level, "key": row.key, "evidence": row.evidence} for row in self.alerts
            ],
        }  # fmt: skip


@contextmanager
def open_pack(scenarios: Sequence[type[Scenario]], step: Callable[[str], None]) -> Generator["Pack"]:
    """Set up a private folder for these scenarios, and clean up at the end.

    Args:
        scenarios: Scenarios to run.
        step: Receives a text for each step.

    Raises:
        ComponentError: A component did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backwatch-attack-")))
        store_url = f"sqlite:///{folder / 'store.db'}"
        stream = StreamSettings(url=f"sqlite:///{folder / 'stream.db'}", partitions=1)
        store = open_store(store_url)
        stack.callback(store.dispose)
        upgrade(store)
        environment = stack.enter_context(
            Environment(folder, clean_environment() | detector_settings(stream, store_url))
        )
        pack = Pack(environment, folder, stream, store, step)
        stack.callback(pack.stop)
        pack.prepare(scenarios)
        yield pack


class Pack:
    """Apps and services of the scenarios, and one detector for all of them.

    Args:
        environment: Runs the processes.
        folder: Private folder for all files.
        stream, store: Stream and store of the detector.
        step: Receives a text for each step.
    """

    def __init__(
        self,
        environment: Environment,
        folder: Path,
        stream: StreamSettings,
        store: StoreEngine,
        step: Callable[[str], None],
    ) -> None:
        self._environment = environment
        self._folder = folder
        self._stream = stream
        self._store = store
        self._step = step
        self._authority = Authority(folder / "authority")
        self._services: dict[type[Scenario], HostileServer] = {}
        self.results: dict[type[Scenario], ScenarioResult] = {}

    def prepare(self, scenarios: Sequence[type[Scenario]]) -> None:
        """Start the services, run the apps on them, and publish their calls as the past."""
        for kind in scenarios:
            result = self.results[kind] = ScenarioResult(scenario=kind, driver_version=driver_version(kind.driver))
            if not result.driver_version:
                result.outcome = f"not run: {kind.driver} is not installed"
                continue
            service = self._services[kind] = kind.service(self._authority)
            service.start()
        self._step(f"services on loopback: {len(self._services)}; an app for each is at ordinary work")
        self._environment.start("detector", ("detect",))
        pasts = self._record_pasts(list(self._services))
        if not pasts:
            return
        count, last_ns = history.publish_calls(heapq.merge(*pasts, key=history.end_ns), self._stream)
        days = PAST_HOURS / 24
        self._step(f"what is normal is learnt from {count:,} calls of the last {days:.0f} days, on simulated time")

        def judged() -> bool:
            with self._store.connect() as connection:
                return any(row.watermark_ns >= last_ns for row in shard_rows(connection))

        self._environment.wait_for("the past is judged", judged, COMPILED_WITHIN_S)

    def run(self, kind: type[Scenario]) -> ScenarioResult:
        """Turn one service hostile, and collect the alerts about its app."""
        result = self.results[kind]
        if result.outcome:  # it cannot run here, or its app has failed already
            return result
        config = self._config(kind, live=True)
        child = self._start(kind, config, self._stream.url)
        try:
            self._attack(result, config, child)
        except ComponentError as error:
            self._environment.kill(child)
            self._environment.check()  # a failing app affects one scenario; a failing detector affects all
            result.outcome = _describe_failure(error)
        self._wait_until_judged()
        result.alerts = [row for row in self._alerts(kind) if row.level != "informational"]
        return result

    def _attack(self, result: ScenarioResult, config: AppConfig, child: Child) -> None:
        kind, service = result.scenario, self._services[result.scenario]
        self._environment.wait_for(f"{kind.name()} is at work", lambda: bool(_read_answers(config)))
        kind.turn(service)
        began, began_ns = time.monotonic(), time.time_ns()
        _proceed(child)

        def is_over() -> bool:
            if result.seconds is None and self._is_raised(kind, began_ns):
                result.seconds = time.monotonic() - began
            return result.seconds is not None and len(_read_answers(config)) > 1

        with suppress(ConditionNotMet):
            self._environment.wait_for(kind.attack, is_over, CAUGHT_WITHIN_S, every_s=0.05)
        answers = _read_answers(config)
        result.outcome = self._outcome(result, service, answers[1] if len(answers) > 1 else {})
        _proceed(child)
        self._environment.wait_for_exit(child)

    def stop(self) -> None:
        """Stop the services."""
        for service in self._services.values():
            service.stop()

    def _config(self, kind: type[Scenario], *, live: bool) -> AppConfig:
        return AppConfig(
            port=self._services[kind].port, ca_file=str(self._authority.ca_file), live=live,
            rounds=LIVE_ROUNDS if live else PAST_ROUNDS,
            answers=self._folder / f"{kind.name()}.{'live' if live else 'past'}.answers",
        )  # fmt: skip

    def _start(self, kind: type[Scenario], config: AppConfig, stream_url: str) -> Child:
        app = self._folder / kind.name() / "app.py"
        if not app.exists():
            app.parent.mkdir()
            app.write_text(kind.source())
        more = {
            **config.environment(), **kind.settings, "OTEL_SERVICE_NAME": kind.name(),
            "BACKWATCH_STREAM_URL": stream_url,
        }  # fmt: skip
        command = ("run", "--", sys.executable, str(app))
        return self._environment.start(f"{kind.name()}.{'live' if config.live else 'past'}", command, more, stdin=True)

    def _record_pasts(self, kinds: list[type[Scenario]]) -> list[Iterable[history.CapturedCall]]:
        waiting, running, now_ns = list(kinds), list[tuple[type[Scenario], Child, str]](), time.time_ns()
        pasts: list[Iterable[history.CapturedCall]] = []
        while waiting or running:
            while waiting and len(running) < MAX_RUNNING:
                kind = waiting.pop(0)
                url = f"sqlite:///{self._folder / kind.name()}.past.db"
                running.append((kind, self._start(kind, self._config(kind, live=False), url), url))
            kind, child, url = running.pop(0)
            try:
                self._environment.wait_for_exit(child)
                found = history.capture_calls(StreamSettings(url=url))
                if not found:
                    raise ComponentError(f"{kind.name()}: the app's past left no calls behind")
            except ComponentError as error:
                self._environment.kill(child)
                self.results[kind].outcome = _describe_failure(error)
                continue
            pasts.append(history.repeat_calls(found, PAST_ROUNDS, now_ns, hours=PAST_HOURS, every_s=PAST_ROUND_EVERY_S))
        return pasts

    def _is_raised(self, kind: type[Scenario], since_ns: int) -> bool:
        return any(row.rule == kind.rule and row.opened_ns >= since_ns for row in self._alerts(kind))

    def _alerts(self, kind: type[Scenario]) -> Sequence[AlertRow]:
        with self._store.connect() as connection:
            return list_alerts(connection, AlertFilter(apps=(kind.name(),)), limit=500).rows

    def _wait_until_judged(self) -> None:
        """Wait until everything in the stream has been judged."""
        consumer = open_consumer(self._stream, names.TOPIC_CALLS, "backwatch-attack")
        try:
            upcoming = consumer.bounds(0)[1]
        finally:
            consumer.close()

        def judged() -> bool:
            with self._store.connect() as connection:
                return any(row.next_offset >= upcoming for row in shard_rows(connection))

        self._environment.wait_for("everything is judged", judged)

    @staticmethod
    def _outcome(result: ScenarioResult, service: HostileServer, answer: dict[str, Any]) -> str:
        kind = result.scenario
        if "refused" in answer and not kind.has_succeeded(service, None):
            return f"refused by {kind.driver} {result.driver_version}: {answer['refused']}"
        if not answer and not kind.has_succeeded(service, None):
            return "failed: the app did not come back"
        if not kind.has_succeeded(service, answer.get("got")):
            return f"refused by {kind.driver} {result.driver_version}"
        return f"only with {kind.option}" if kind.option else SUCCEEDED


def _describe_failure(error: ComponentError) -> str:
    return f"failed: {str(error).splitlines()[-1][:MAX_ERROR_CHARS]}"


def _read_answers(config: AppConfig) -> list[dict[str, Any]]:
    if not config.answers.exists():
        return []
    return [json.loads(line) for line in config.answers.read_text().splitlines() if line.endswith("}")]


def _proceed(child: Child) -> None:
    if child.process.stdin is not None:
        child.process.stdin.write(b"\n")
        child.process.stdin.flush()
