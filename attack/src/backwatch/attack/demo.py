"""The demo: a quiet shop over verified TLS, services that turn bad one by one, and each attack caught under its right name."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine as StoreEngine

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.cast import Act, Cast
from backwatch.attack.servers import HostileServer
from backwatch.attack.servers.http import HTTP
from backwatch.attack.servers.mysql import MySQL
from backwatch.attack.servers.postgresql import PostgreSQL
from backwatch.attack.servers.redis import Redis
from backwatch.attack.servers.smtp import SMTP
from backwatch.attack.show import Show
from backwatch.attack.stage import Child, Stage, StageError, free_port, wait_for
from backwatch.collector.settings import StreamSettings
from backwatch.store.connect import open_store
from backwatch.store.queries import AlertFilter, AlertRow, list_alerts, shard_rows

ROUNDS = 30
"""Rounds of the shop that become its history."""
CAUGHT_WITHIN_S = 12.0
STARTED_WITHIN_S = 15.0
COMPILED_WITHIN_S = 240.0


@dataclass(slots=True)
class Outcome:
    """What became of the cast.

    Attributes:
        missed: Titles of attacks that were not caught under their right name.
        false_alerts: Alerts that no act explains: (rule, resource).
    """

    caught: list[str] = field(default_factory=list[str])
    missed: list[str] = field(default_factory=list[str])
    false_alerts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def good(self) -> bool:
        """Everything was caught, and nothing else was said."""
        return bool(self.caught) and not self.missed and not self.false_alerts


class Demo:
    """One performance."""

    def __init__(self, stage: Stage, cast: Cast, store: StoreEngine, show: Show, shop: dict[str, str]) -> None:
        self._stage = stage
        self._cast = cast
        self._store = store
        self._show = show
        self._shop = shop
        self._app: Child | None = None
        self._explained: set[str] = set()

    def play(self) -> Outcome:
        """Quiet first, then one act after the other."""
        outcome = Outcome()
        try:
            wait_for("the quiet history is judged", self._history_judged, STARTED_WITHIN_S)
        except StageError:
            self._stage.check()
            self._show.step("the detector compiles its kernels: a first start takes a minute or two")
            wait_for("the quiet history is judged", self._history_judged, COMPILED_WITHIN_S)
        self._app = self._stage.start("shop", _RUN_SHOP, self._shop, stdin=True)
        wait_for("the shop's live calls are judged", self._live_calls_judged)
        time.sleep(2)
        self._check_quiet(outcome)
        for act in self._cast.acts(self._visitor_types):
            self._perform(act, outcome)
            self._stage.check()
        time.sleep(2)
        self._check_quiet(outcome)
        return outcome

    def hold(self) -> None:
        """Keeps everything running until it is stopped."""
        while True:
            self._stage.check()
            time.sleep(1)

    def _perform(self, act: Act, outcome: Outcome) -> None:
        self._show.begins(act)
        begun = time.monotonic()
        since_ns = time.time_ns()
        act.begin()
        try:
            wait_for(act.title, lambda: self._caught(act, since_ns) is not None, CAUGHT_WITHIN_S)
        except StageError:
            outcome.missed.append(act.title)
            self._show.missed(act)
        else:
            outcome.caught.append(act.title)
            found = self._caught(act, since_ns)
            if found is not None:
                self._show.caught(act, found, time.monotonic() - begun)
        finally:
            act.end()
        time.sleep(1.2)
        self._explain(act)

    def _alerts(self) -> list[AlertRow]:
        with self._store.connect() as connection:
            return list(list_alerts(connection, AlertFilter(), limit=500).rows)

    def _caught(self, act: Act, since_ns: int) -> AlertRow | None:
        for alert in self._alerts():
            if alert.rule == act.rule and alert.resource.startswith(act.system + " ") and alert.last_ns >= since_ns:
                return alert
        return None

    def _explain(self, act: Act) -> None:
        for alert in self._alerts():
            if alert.rule in {act.rule, *act.also} and alert.resource.startswith(act.system + " "):
                self._explained.add(alert.id)

    def _check_quiet(self, outcome: Outcome) -> None:
        for alert in self._alerts():
            if alert.id not in self._explained:
                self._explained.add(alert.id)
                outcome.false_alerts.append((alert.rule, alert.resource))
                self._show.false_alert(alert)

    def _history_judged(self) -> bool:
        self._stage.check()
        with self._store.connect() as connection:
            shards = shard_rows(connection)
        return bool(shards) and min(one.watermark_ns for one in shards) > time.time_ns() - 1_000 * 10**9

    def _live_calls_judged(self) -> bool:
        self._stage.check()
        from backwatch.store.queries import list_resources

        with self._store.connect() as connection:
            seen = list_resources(connection)
        recent = time.time_ns() - 5 * 10**9
        return len(seen) >= len(self._cast.servers) and all(one.last_ns > recent for one in seen)

    def _visitor_types(self, text: str) -> None:
        if self._app is not None and self._app.process.stdin is not None:
            self._app.process.stdin.write(text.encode() + b"\n")
            self._app.process.stdin.flush()


_RUN_SHOP = ("run", "--", sys.executable, "-m", "backwatch.attack.quiet", "--pause", "0.3")


def _shop_settings(servers: tuple[HostileServer, ...], ca_file: Path) -> dict[str, str]:
    ports = {f"SHOP_{one.name.upper()}_PORT": str(one.port) for one in servers}
    return {**ports, "SHOP_CA_FILE": str(ca_file), "SHOP_PASSWORD": "only-a-demo", "OTEL_SERVICE_NAME": "shop"}


@contextmanager
def staged(show: Show) -> Iterator[tuple[Demo, str]]:
    """Sets the stage: services, quiet history, detector, notify-less store and dashboard; gives the demo and the dashboard's address."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backwatch-demo-")))
        authority = Authority(folder / "authority")
        servers = (MySQL(authority), PostgreSQL(authority), SMTP(authority), Redis(authority), HTTP(authority))
        for one in servers:
            one.start()
            stack.callback(one.stop)
        cast = Cast(mysql=servers[0], postgresql=servers[1], smtp=servers[2], redis=servers[3], http=servers[4])
        shop = _shop_settings(servers, authority.ca_file)
        stream_url, store_url = f"sqlite:///{folder / 'stream.db'}", f"sqlite:///{folder / 'store.db'}"
        port = free_port()
        settings = {
            "BACKWATCH_STREAM_URL": stream_url, "BACKWATCH_STORE_URL": store_url, "BACKWATCH_DASHBOARD_PORT": str(port),
            "BACKWATCH_STREAM_PARTITIONS": "1",
        }  # fmt: skip
        stage = stack.enter_context(Stage(folder, settings))
        store = open_store(store_url)
        stack.callback(store.dispose)
        stage.start("detector", ("detect", "--no-router"))
        stage.start("dashboard", ("dashboard",))
        show.step("the shop works quietly, over verified TLS")
        capture = {"BACKWATCH_STREAM_URL": f"sqlite:///{folder / 'capture.db'}"}
        arguments = (*_RUN_SHOP[:-1], "0.01", "--rounds", str(ROUNDS))
        stage.finished(stage.start("history", arguments, {**shop, **capture}))
        target = StreamSettings(url=stream_url, partitions=1)
        calls = history.publish(StreamSettings(url=capture["BACKWATCH_STREAM_URL"]), target, ROUNDS)
        show.step(f"{calls:,} calls of the last {history.HOURS} hours are learnt from")
        yield Demo(stage, cast, store, show, shop), f"http://127.0.0.1:{port}"
