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
from backwatch.attack.environment import Child, NotInTime, Stage, StageError, judging, own_environment
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
PAST_EVERY_S = 3_600.0
"""A round an hour for eight days: longer than any learning period."""
LIVE_ROUNDS = 2
AT_ONCE = 3
"""Maximum number of apps that record their past at once."""
COMPILED_WITHIN_S = 240.0


@dataclass(slots=True, kw_only=True)
class Played:
    """The result of one scenario.

    Attributes:
        outcome: ``succeeded``, ``refused by pymysql 1.2.4``, ``only with …``, ``not run: …``, ``failed: …``.
        alerts: Alerts above informational about this app.
        seconds: From the turn to the alert, or ``None`` if it was not raised.
    """

    entry: type[Scenario]
    driver_version: str
    outcome: str = ""
    alerts: Sequence[AlertRow] = ()
    seconds: float | None = None

    @property
    def said(self) -> list[str]:
        """Return the rules that raised an alert, without informational ones."""
        return sorted({row.rule for row in self.alerts})

    @property
    def ran(self) -> bool:
        """Return whether the scenario could run here."""
        return not self.outcome.startswith("not run")

    @property
    def caught(self) -> bool:
        """Return whether the declared rule raised an alert in time, and no other rule did."""
        in_time = self.seconds is not None and self.seconds <= CAUGHT_WITHIN_S
        return in_time and self.said == [self.entry.rule] and not self.outcome.startswith("failed")

    def document(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "entry": self.entry.name(), "code": self.entry.code, "driver": self.entry.driver,
            "driver_version": self.driver_version, "outcome": self.outcome, "expected": self.entry.rule,
            "said": self.said, "caught": self.caught,
            "seconds": None if self.seconds is None else round(self.seconds, 2),
            "alerts": [
                {"rule": row.rule, "level": row.level, "key": row.key, "evidence": row.evidence} for row in self.alerts
            ],
        }  # fmt: skip


@contextmanager
def opened(entries: Sequence[type[Scenario]], step: Callable[[str], None]) -> Generator["Pack"]:
    """Set up a private folder for these scenarios, and clean up at the end.

    Args:
        entries: Scenarios to run.
        step: Receives a text for each step.

    Raises:
        StageError: A component did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backwatch-attack-")))
        store_url = f"sqlite:///{folder / 'store.db'}"
        stream = StreamSettings(url=f"sqlite:///{folder / 'stream.db'}", partitions=1)
        store = open_store(store_url)
        stack.callback(store.dispose)
        upgrade(store)
        stage = stack.enter_context(Stage(folder, own_environment() | judging(stream, store_url)))
        pack = Pack(stage, folder, stream, store, step)
        stack.callback(pack.stop)
        pack.prepare(entries)
        yield pack


class Pack:
    """Apps and services of the scenarios, and one detector for all of them.

    Args:
        stage: Runs the processes.
        folder: Private folder for all files.
        stream, store: Stream and store of the detector.
        step: Receives a text for each step.
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
        self._services: dict[type[Scenario], HostileServer] = {}
        self.played: dict[type[Scenario], Played] = {}

    def prepare(self, entries: Sequence[type[Scenario]]) -> None:
        """Start the services, run the apps on them, and publish their calls as the past."""
        for kind in entries:
            played = self.played[kind] = Played(entry=kind, driver_version=driver_version(kind.driver))
            if not played.driver_version:
                played.outcome = f"not run: {kind.driver} is not installed"
                continue
            service = self._services[kind] = kind.service(self._authority)
            service.start()
        self._step(f"services on loopback: {len(self._services)}; an app for each is at ordinary work")
        self._stage.start("detector", ("detect",))
        pasts = self._pasts(list(self._services))
        if not pasts:
            return
        count, last_ns = history.publish_told(heapq.merge(*pasts, key=_end_ns), self._stream)
        days = PAST_HOURS / 24
        self._step(f"what is normal is learnt from {count:,} calls of the last {days:.0f} days, on simulated time")

        def judged() -> bool:
            with self._store.connect() as connection:
                return any(row.watermark_ns >= last_ns for row in shard_rows(connection))

        self._stage.wait_for("the past is judged", judged, COMPILED_WITHIN_S)

    def play(self, kind: type[Scenario]) -> Played:
        """Turn one service hostile, and collect the alerts about its app."""
        played = self.played[kind]
        if played.outcome:  # it cannot run here, or its app has failed already
            return played
        config = self._config(kind, live=True)
        child = self._start(kind, config, self._stream.url)
        try:
            self._meet(played, config, child)
        except StageError as error:
            self._stage.dismiss(child)
            self._stage.check()  # a failing app affects one scenario; a failing detector affects all
            played.outcome = _failed(error)
        self._settle()
        played.alerts = [row for row in self._alerts(kind) if row.level != "informational"]
        return played

    def _meet(self, played: Played, config: AppConfig, child: Child) -> None:
        kind, service = played.entry, self._services[played.entry]
        self._stage.wait_for(f"{kind.name()} is at work", lambda: bool(_answers(config)))
        kind.turn(service)
        begun, begun_ns = time.monotonic(), time.time_ns()
        _next(child)

        def over() -> bool:
            if played.seconds is None and self._is_raised(kind, begun_ns):
                played.seconds = time.monotonic() - begun
            return played.seconds is not None and len(_answers(config)) > 1

        with suppress(NotInTime):
            self._stage.wait_for(kind.attack, over, CAUGHT_WITHIN_S, every_s=0.05)
        answers = _answers(config)
        played.outcome = self._outcome(played, service, answers[1] if len(answers) > 1 else {})
        _next(child)
        self._stage.finished(child)

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
        return self._stage.start(f"{kind.name()}.{'live' if config.live else 'past'}", command, more, stdin=True)

    def _pasts(self, kinds: list[type[Scenario]]) -> list[Iterable[history.Told]]:
        waiting, running, now_ns = list(kinds), list[tuple[type[Scenario], Child, str]](), time.time_ns()
        pasts: list[Iterable[history.Told]] = []
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                kind = waiting.pop(0)
                url = f"sqlite:///{self._folder / kind.name()}.past.db"
                running.append((kind, self._start(kind, self._config(kind, live=False), url), url))
            kind, child, url = running.pop(0)
            try:
                self._stage.finished(child)
                found = history.captured(StreamSettings(url=url))
                if not found:
                    raise StageError(f"{kind.name()}: the app's past left no calls behind")
            except StageError as error:
                self._stage.dismiss(child)
                self.played[kind].outcome = _failed(error)
                continue
            pasts.append(history.retold(found, PAST_ROUNDS, now_ns, hours=PAST_HOURS, every_s=PAST_EVERY_S))
        return pasts

    def _is_raised(self, kind: type[Scenario], since_ns: int) -> bool:
        return any(row.rule == kind.rule and row.opened_ns >= since_ns for row in self._alerts(kind))

    def _alerts(self, kind: type[Scenario]) -> Sequence[AlertRow]:
        with self._store.connect() as connection:
            return list_alerts(connection, AlertFilter(apps=(kind.name(),)), limit=500).rows

    def _settle(self) -> None:
        """Wait until everything in the stream has been judged."""
        consumer = open_consumer(self._stream, names.TOPIC_CALLS, "backwatch-attack")
        try:
            upcoming = consumer.bounds(0)[1]
        finally:
            consumer.close()

        def judged() -> bool:
            with self._store.connect() as connection:
                return any(row.next_offset >= upcoming for row in shard_rows(connection))

        self._stage.wait_for("everything is judged", judged)

    @staticmethod
    def _outcome(played: Played, service: HostileServer, answer: dict[str, Any]) -> str:
        kind = played.entry
        if "refused" in answer and not kind.succeeded(service, None):
            return f"refused by {kind.driver} {played.driver_version}: {answer['refused']}"
        if not answer and not kind.succeeded(service, None):
            return "failed: the app did not come back"
        if not kind.succeeded(service, answer.get("got")):
            return f"refused by {kind.driver} {played.driver_version}"
        return f"only with {kind.option}" if kind.option else SUCCEEDED


def _end_ns(call: history.Told) -> int:
    return call[2].end_time_unix_nano


def _failed(error: StageError) -> str:
    return f"failed: {str(error).splitlines()[-1][:MAX_ERROR_CHARS]}"


def _answers(config: AppConfig) -> list[dict[str, Any]]:
    if not config.answers.exists():
        return []
    return [json.loads(line) for line in config.answers.read_text().splitlines() if line.endswith("}")]


def _next(child: Child) -> None:
    if child.process.stdin is not None:
        child.process.stdin.write(b"\n")
        child.process.stdin.flush()
