"""Output of ``backwatch attack run``: each attack before and after, and a final table."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

from rich.text import Text

from backwatch.attack.runner import ScenarioResult
from backwatch.attack.scenarios import SUCCEEDED
from backwatch.attack.terminal import COLOURS, Terminal, printable
from backwatch.detector.rules import rulebook

MAX_VALUE_CHARS = 100
"""Maximum number of characters of a value to display."""


class Report(Terminal):
    """The terminal output of a run."""

    def before(self, result: ScenarioResult) -> None:
        """Print the attack, and the rule that must raise an alert."""
        kind = result.scenario
        self.print_line(Text.assemble(("▶ ", "bold"), (f"{kind.code} {kind.name()}", "bold"), f"  {kind.attack}"))
        driver = f"{kind.driver} {result.driver_version}" + (f" with {kind.option}" if kind.option else "")
        self.print_line(Text(f"  on {driver}; its user notices: {kind.notices}; expected: {kind.rule}", style="dim"))

    def after(self, result: ScenarioResult) -> None:
        """Print the result."""
        outcome = printable(result.outcome)
        if not result.has_run:
            self.print_line(Text(f"  - {outcome}", style="yellow"))
        elif result.caught:
            self.print_line(Text.assemble(("  ✓ ", "bold green"), f"{outcome}; caught after {result.seconds:.1f} s"))
        else:
            self.print_line(Text(f"  ✗ {outcome}; raised: {', '.join(result.raised) or 'nothing'}", style="bold red"))

    def alerts(self, result: ScenarioResult) -> None:
        """Print each alert as the store holds it: key facts, and their previous values."""
        for alert in result.alerts:
            level = (alert.level, COLOURS.get(alert.level, ""))
            self.print_line(Text.assemble("    ", level, (f" {alert.rule}", "bold"), f"  {printable(alert.resource)}"))
            self.print_line(Text(f"    {alert.title}"))
            names = (name for name in _key_facts().get(alert.rule, ()) if not name.endswith(".was"))
            shown = [name for name in names if name in alert.evidence]
            width = max((len(name) for name in shown), default=0)
            for name in shown:
                is_, was = (_short(alert.evidence.get(key, "")) for key in (name, f"{name}.was"))
                self.print_line(Text(f"      {name:{width}}  {f'was {was}, is {is_}' if was else is_}"))

    def table(self, results: Sequence[ScenarioResult]) -> None:
        """Print a summary table."""
        table = self.new_table()
        for column in ("scenario", "driver", "outcome", "expected", "raised", "caught"):
            table.add_column(column, overflow="fold")
        table.add_column("seconds", justify="right", no_wrap=True)
        for result in results:
            table.add_row(
                f"{result.scenario.code} {result.scenario.name()}", f"{result.scenario.driver} {result.driver_version}",
                Text(printable(result.outcome)), result.scenario.rule, ", ".join(result.raised),
                "yes" if result.caught else "no", "" if result.seconds is None else f"{result.seconds:.1f}",
            )  # fmt: skip
        self.print_table(table)

    def summarize(self, results: Sequence[ScenarioResult]) -> bool:
        """Print a summary line. Return whether every attack was caught."""
        ran = [result for result in results if result.has_run]
        caught = sum(result.caught for result in ran)
        outcomes = Counter(
            "succeeded" if outcome == SUCCEEDED else "only with an option" if outcome.startswith("only") else
            "failed" if outcome.startswith("failed") else "refused" for outcome in (result.outcome for result in ran)
        )  # fmt: skip
        drivers = len({result.scenario.driver for result in ran})
        counted = ", ".join(f"{count} {name}" for name, count in outcomes.items())
        good = bool(ran) and caught == len(ran)
        rest = len(results) - len(ran)
        self.end(
            f"{len(ran)} attack{'s' * (len(ran) != 1)} on {drivers} driver{'s' * (drivers != 1)} ({counted}): "
            f"{caught} caught, {len(ran) - caught} not" + (f"; {rest} could not be run here" if rest else ""),
            good=good,
        )
        return good


def _short(value: object) -> str:
    """Format a value of the evidence on one line; numbers and flags as in JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return f"{text[:16]}…"  # shorten a digest for display
    return printable(text)[:MAX_VALUE_CHARS]


@cache
def _key_facts() -> Mapping[str, Sequence[str]]:
    """Return the key facts of each rule."""
    return {rule.name: rule.looks_at or sorted(rule.fields) for rule in rulebook.load().rules}
