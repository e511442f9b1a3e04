"""The demo: a quiet shop over verified TLS whose services turn hostile one by one. Each must be detected."""

import time
from dataclasses import dataclass, field

from sqlalchemy import Engine as StoreEngine

from backwatch.attack.demo.attacks import Attack, Services
from backwatch.attack.demo.show import Show
from backwatch.attack.environment import Child, ConditionNotMet, Environment
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
class AttackWindow:
    """The time span of an attack, and the rules that it may raise."""

    attack: Attack
    begin_ns: int
    end_ns: int

    def explains(self, alert: AlertRow) -> bool:
        """Return whether the attack may have raised this alert."""
        named = alert.rule in {self.attack.rule, *self.attack.also}
        named = named and alert.resource.startswith(self.attack.system + " ")
        return named and self.begin_ns <= alert.last_ns <= self.end_ns


class Demo:
    """One run of the demo.

    Args:
        environment: Runs the processes.
        services: Services that turn hostile.
        store: Store of the detector.
        show: Terminal output.
        shop: Runs the live shop.
        learnt_until_ns: End of the quiet history.
    """

    def __init__(
        self,
        environment: Environment,
        services: Services,
        store: StoreEngine,
        show: Show,
        shop: Child,
        learnt_until_ns: int,
    ) -> None:
        self._environment = environment
        self._services = services
        self._store = store
        self._show = show
        self._shop = shop
        self._learnt_until_ns = learnt_until_ns
        self._windows: list[AttackWindow] = []
        self._false: set[str] = set()

    def run(self) -> Outcome:
        """Run quiet rounds first, then one attack after the other."""
        outcome = self.quiet(QUIET_ROUNDS)
        if not outcome.false_alerts:
            self._show.step("the shop is at work and raises no alert")
        for attack in self._services.attacks(self._search):
            self._run_attack(attack, outcome)
            self._look_for_false_alerts(outcome)
        return outcome

    def quiet(self, rounds: int) -> Outcome:
        """Judge ``rounds`` rounds of the shop's ordinary work. Every alert about it is a false one."""
        outcome = Outcome()
        self._wait_for_detector()
        for _ in range(rounds):
            self._wait_until_judged()
        self._look_for_false_alerts(outcome)
        return outcome

    def hold(self) -> None:
        """Keep everything running until it is stopped, and show new alerts."""
        known = {alert.id for alert in self._alerts()}
        while True:
            self._environment.check()
            for alert in self._alerts():
                if alert.id not in known:
                    known.add(alert.id)
                    self._show.print_late_alert(alert)
            time.sleep(1)

    def _run_attack(self, attack: Attack, outcome: Outcome) -> None:
        begin_ns = time.time_ns()
        found: AlertRow | None = None

        def caught() -> bool:
            nonlocal found
            found = self._caught(attack, begin_ns)
            return found is not None

        with self._show.watch(attack):
            attack.begin()
            try:
                self._environment.wait_for(attack.title, caught, CAUGHT_WITHIN_S)
            except ConditionNotMet:
                outcome.missed.append(attack.title)
            else:
                outcome.caught.append(attack.title)
            after_s = (time.time_ns() - begin_ns) / 1e9
            attack.end()
            self._wait_until_judged()
        self._windows.append(AttackWindow(attack, begin_ns, time.time_ns()))
        if found is None:
            self._show.print_missed(attack)
        else:
            self._show.print_caught(attack, found, after_s)

    def _caught(self, attack: Attack, since_ns: int) -> AlertRow | None:
        for alert in self._alerts():
            if (
                alert.rule == attack.rule
                and alert.resource.startswith(attack.system + " ")
                and alert.last_ns >= since_ns
            ):
                return alert
        return None

    def _alerts(self) -> list[AlertRow]:
        with self._store.connect() as connection:
            return list(list_alerts(connection, AlertFilter(), limit=500).rows)

    def _look_for_false_alerts(self, outcome: Outcome) -> None:
        for alert in self._alerts():
            if alert.id not in self._false and not any(window.explains(alert) for window in self._windows):
                self._false.add(alert.id)
                outcome.false_alerts.append((alert.rule, alert.resource))
                self._show.print_false_alert(alert)

    def _wait_for_detector(self) -> None:
        def history_is_judged() -> bool:
            with self._store.connect() as connection:
                shards = shard_rows(connection)
            return any(shard.watermark_ns >= self._learnt_until_ns for shard in shards)

        try:
            self._environment.wait_for("the quiet history is judged", history_is_judged, STARTED_WITHIN_S)
        except ConditionNotMet:
            self._show.step("the detector is starting: a first start compiles its kernels, which takes a minute")
            self._environment.wait_for("the quiet history is judged", history_is_judged, COMPILED_WITHIN_S)

    def _wait_until_judged(self) -> None:
        """Wait until a new call to each service has been judged. Then all earlier calls have been, too."""
        now_ns = time.time_ns()

        def judged() -> bool:
            with self._store.connect() as connection:
                seen = list_resources(connection)
            return sum(resource.last_ns > now_ns for resource in seen) >= len(self._services.servers)

        self._environment.wait_for("every service of the shop is called and judged", judged)

    def _search(self, text: str) -> None:
        if self._shop.process.stdin is not None:
            self._shop.process.stdin.write(text.encode() + b"\n")
            self._shop.process.stdin.flush()
