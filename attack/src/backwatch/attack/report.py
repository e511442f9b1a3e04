"""Output of ``backwatch attack run``: each attack before and after, and a final table."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backwatch.attack.demo.show import COLOURS
from backwatch.attack.environment import printable
from backwatch.attack.runner import Played
from backwatch.attack.scenarios import SUCCEEDED
from backwatch.detector.rules import rulebook

LONGEST = 100
"""Maximum number of characters of a value to display."""


class Report:
    """The terminal output. Texts of services and drivers are shown as text, never as markup or control characters."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        """Print one step of the setup."""
        self._say(Text("· " + text, style="dim"))

    def before(self, played: Played) -> None:
        """Print the attack, and the rule that must raise an alert."""
        kind = played.entry
        self._say(Text.assemble(("▶ ", "bold"), (f"{kind.code} {kind.name()}", "bold"), f"  {kind.attack}"))
        driver = f"{kind.driver} {played.driver_version}" + (f" with {kind.option}" if kind.option else "")
        self._say(Text(f"  on {driver}; its user notices: {kind.notices}; expected: {kind.rule}", style="dim"))

    def after(self, played: Played) -> None:
        """Print the result."""
        outcome = printable(played.outcome)
        if not played.ran:
            self._say(Text(f"  - {outcome}", style="yellow"))
        elif played.caught:
            self._say(Text.assemble(("  ✓ ", "bold green"), f"{outcome}; caught after {played.seconds:.1f} s"))
        else:
            self._say(Text(f"  ✗ {outcome}; said: {', '.join(played.said) or 'nothing'}", style="bold red"))

    def alerts(self, played: Played) -> None:
        """Print each alert as the store holds it: key facts, and their previous values."""
        for one in played.alerts:
            level = (one.level, COLOURS.get(one.level, ""))
            self._say(Text.assemble("    ", level, (f" {one.rule}", "bold"), f"  {printable(one.resource)}"))
            self._say(Text(f"    {one.title}"))
            names = (name for name in _looks_at().get(one.rule, ()) if not name.endswith(".was"))
            shown = [name for name in names if name in one.evidence]
            width = max((len(name) for name in shown), default=0)
            for name in shown:
                is_, was = (_short(one.evidence.get(key, "")) for key in (name, f"{name}.was"))
                self._say(Text(f"      {name:{width}}  {f'was {was}, is {is_}' if was else is_}"))

    def table(self, all_played: Sequence[Played]) -> None:
        """Print a summary table."""
        table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), border_style="dim", header_style="dim")
        for column in ("entry", "driver", "outcome", "expected", "said", "caught"):
            table.add_column(column, overflow="fold")
        table.add_column("seconds", justify="right", no_wrap=True)
        for one in all_played:
            table.add_row(
                f"{one.entry.code} {one.entry.name()}", f"{one.entry.driver} {one.driver_version}",
                Text(printable(one.outcome)), one.entry.rule, ", ".join(one.said), "yes" if one.caught else "no",
                "" if one.seconds is None else f"{one.seconds:.1f}",
            )  # fmt: skip
        self._console.print()
        self._console.print(table)

    def end(self, all_played: Sequence[Played]) -> bool:
        """Print a summary line. Return whether every attack was caught."""
        ran = [one for one in all_played if one.ran]
        caught = sum(one.caught for one in ran)
        outcomes = Counter(
            "succeeded" if one.outcome == SUCCEEDED else "only with an option" if one.outcome.startswith("only") else
            "failed" if one.outcome.startswith("failed") else "refused" for one in ran
        )  # fmt: skip
        drivers = len({one.entry.driver for one in ran})
        counted = ", ".join(f"{count} {name}" for name, count in outcomes.items())
        good = bool(ran) and caught == len(ran)
        rest = len(all_played) - len(ran)
        self._say(
            Text(
                f"{len(ran)} attack{'s' * (len(ran) != 1)} on {drivers} driver{'s' * (drivers != 1)} ({counted}): "
                f"{caught} caught, {len(ran) - caught} not" + (f"; {rest} could not be run here" if rest else ""),
                style="bold green" if good else "bold red",
            )
        )
        return good

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal, highlight=False)


def _short(value: object) -> str:
    """Format a value of the evidence on one line; numbers and flags as in JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return f"{text[:16]}…"  # shorten a digest for display
    return printable(text)[:LONGEST]


@cache
def _looks_at() -> Mapping[str, Sequence[str]]:
    """Return the key facts of each rule."""
    return {one.name: one.looks_at or sorted(one.fields) for one in rulebook.load().rules}
