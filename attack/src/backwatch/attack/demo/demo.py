"""The demo: a quiet shop over verified TLS whose services turn hostile one by one. Each must be detected."""

import time
from dataclasses import dataclass, field

from sqlalchemy import Engine as StoreEngine

from backwatch.attack.demo.attacks import Act, Cast
from backwatch.attack.demo.show import Show
from backwatch.attack.environment import Child, NotInTime, Stage
from backwatch.store.queries import AlertFilter, AlertRow, list_alerts, list_resources, shard_rows

CAUGHT_WITHIN_S = 12.0
STARTED_WITHIN_S = 20.0
COMPILED_WITHIN_S = 240.0
QUIET_ROUNDS = 4
"""Live rounds of the shop that are judged before the first attack."""


@dataclass(slots=True)
class Outcome:
    """The result of all attacks.

    Attributes:
        caught, missed: Titles of attacks.
        false_alerts: Alerts that no attack explains: (rule, resource).
    """

    caught: list[str] = field(default_factory=list[str])
    missed: list[str] = field(default_factory=list[str])
    false_alerts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def good(self) -> bool:
        """Return whether every attack was caught and no other alert was raised."""
        return bool(self.caught) and not self.missed and not self.false_alerts

    def __str__(self) -> str:
        count = len(self.false_alerts)
        false = f"{count} false alert" + ("" if count == 1 else "s")
        return f"{len(self.caught)} attacks caught, {len(self.missed)} missed, {false}"


@dataclass(frozen=True, slots=True)
class _Played:
    """The time span of an attack, and the rules that it may raise."""

    act: Act
    begin_ns: int
    end_ns: int

    def explains(self, alert: AlertRow) -> bool:
        named = alert.rule in {self.act.rule, *self.act.also} and alert.resource.startswith(self.act.system + " ")
        return named and self.begin_ns <= alert.last_ns <= self.end_ns


class Demo:
    """One run of the demo.

    Args:
        stage: Runs the processes.
        cast: Services that turn hostile.
        store: Store of the detector.
        show: Terminal output.
        shop: Runs the live shop.
        learnt_until_ns: End of the quiet history.
    """

    def __init__(
        self, stage: Stage, cast: Cast, store: StoreEngine, show: Show, shop: Child, learnt_until_ns: int
    ) -> None:
        self._stage = stage
        self._cast = cast
        self._store = store
        self._show = show
        self._shop = shop
        self._learnt_until_ns = learnt_until_ns
        self._played: list[_Played] = []
        self._false: set[str] = set()

    def play(self) -> Outcome:
        """Run quiet rounds first, then one attack after the other."""
        outcome = self.quiet(QUIET_ROUNDS)
        if not outcome.false_alerts:
            self._show.step("the shop is at work, and there is nothing to say of it")
        for act in self._cast.acts(self._visitor_types):
            self._perform(act, outcome)
            self._look_for_false_alerts(outcome)
        return outcome

    def quiet(self, rounds: int) -> Outcome:
        """Judge ``rounds`` rounds of the shop's ordinary work. Every alert about it is a false one."""
        outcome = Outcome()
        self._wait_for_the_detector()
        for _ in range(rounds):
            self._judged_until_now()
        self._look_for_false_alerts(outcome)
        return outcome

    def hold(self) -> None:
        """Keep everything running until it is stopped, and show new alerts."""
        known = {alert.id for alert in self._alerts()}
        while True:
            self._stage.check()
            for alert in self._alerts():
                if alert.id not in known:
                    known.add(alert.id)
                    self._show.later(alert)
            time.sleep(1)

    def _perform(self, act: Act, outcome: Outcome) -> None:
        begin_ns = time.time_ns()
        found: AlertRow | None = None

        def caught() -> bool:
            nonlocal found
            found = self._caught(act, begin_ns)
            return found is not None

        with self._show.playing(act):
            act.begin()
            try:
                self._stage.wait_for(act.title, caught, CAUGHT_WITHIN_S)
            except NotInTime:
                outcome.missed.append(act.title)
            else:
                outcome.caught.append(act.title)
            after_s = (time.time_ns() - begin_ns) / 1e9
            act.end()
            self._judged_until_now()
        self._played.append(_Played(act, begin_ns, time.time_ns()))
        if found is None:
            self._show.missed(act)
        else:
            self._show.caught(act, found, after_s)

    def _caught(self, act: Act, since_ns: int) -> AlertRow | None:
        for alert in self._alerts():
            if alert.rule == act.rule and alert.resource.startswith(act.system + " ") and alert.last_ns >= since_ns:
                return alert
        return None

    def _alerts(self) -> list[AlertRow]:
        with self._store.connect() as connection:
            return list(list_alerts(connection, AlertFilter(), limit=500).rows)

    def _look_for_false_alerts(self, outcome: Outcome) -> None:
        for alert in self._alerts():
            if alert.id not in self._false and not any(one.explains(alert) for one in self._played):
                self._false.add(alert.id)
                outcome.false_alerts.append((alert.rule, alert.resource))
                self._show.false_alert(alert)

    def _wait_for_the_detector(self) -> None:
        def history_is_judged() -> bool:
            with self._store.connect() as connection:
                shards = shard_rows(connection)
            return any(one.watermark_ns >= self._learnt_until_ns for one in shards)

        try:
            self._stage.wait_for("the quiet history is judged", history_is_judged, STARTED_WITHIN_S)
        except NotInTime:
            self._show.step("the detector still gets ready: a first start compiles its kernels, which takes a minute")
            self._stage.wait_for("the quiet history is judged", history_is_judged, COMPILED_WITHIN_S)

    def _judged_until_now(self) -> None:
        """Wait until a new call to each service has been judged. Then all earlier calls have been, too."""
        now_ns = time.time_ns()

        def judged() -> bool:
            with self._store.connect() as connection:
                seen = list_resources(connection)
            return sum(one.last_ns > now_ns for one in seen) >= len(self._cast.servers)

        self._stage.wait_for("every service of the shop is called and judged", judged)

    def _visitor_types(self, text: str) -> None:
        if self._shop.process.stdin is not None:
            self._shop.process.stdin.write(text.encode() + b"\n")
            self._shop.process.stdin.flush()
