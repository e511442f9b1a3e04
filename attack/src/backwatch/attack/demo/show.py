"""The demo's terminal output: each attack when it is caught, and a final table."""

from collections.abc import Generator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backwatch.attack.demo.attacks import Act
from backwatch.attack.environment import printable
from backwatch.store.queries import AlertRow

COLOURS = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}
WIDTH = 20
"""Columns for a rule's name."""
ROOMY = 120
"""Width of a terminal with room for one more column."""


class Show:
    """The terminal output. Texts of alerts are shown as text, never as markup or control characters."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._rows: list[tuple[Text, str, str, str, str]] = []

    def step(self, text: str) -> None:
        """Print one step of the setup."""
        self._say(Text("· " + text, style="dim"))

    @contextmanager
    def playing(self, act: Act) -> Generator[None]:
        """Show that an attack is running."""
        self._say(Text.assemble("\n" if not self._rows else "", ("▶ ", "bold"), act.title))
        with self.console.status(Text("  watching", style="dim"), spinner="dots"):
            yield

    def caught(self, act: Act, alert: AlertRow, after_s: float) -> None:
        """Print that the attack was caught under its expected rule."""
        style = COLOURS.get(alert.level, "")
        after = f"{after_s:.1f} s"
        self._say(
            Text.assemble(
                ("  ✓ ", "bold green"), (alert.level, style), " " * (9 - len(alert.level)),
                (f"{alert.rule:{WIDTH}}", "bold"), f"{printable(alert.resource)}  ", (after, "dim"),
            )
        )  # fmt: skip
        where = printable(alert.resource).removeprefix(act.system + " ")
        self._rows.append((Text(alert.level, style), alert.rule, act.title, where, after))

    def missed(self, act: Act) -> None:
        """Print that the attack was missed."""
        self._say(Text(f"  ✗ missed   {act.rule} was expected on {act.system}", style="bold red"))
        self._rows.append((Text("missed", "bold red"), act.rule, act.title, act.system, ""))

    def false_alert(self, alert: AlertRow) -> None:
        """Print an alert that no attack explains."""
        self._say(Text(f"  ✗ false alert: {alert.rule} on {printable(alert.resource)}", style="bold red"))

    def later(self, alert: AlertRow) -> None:
        """Print an alert that was raised after the last attack."""
        self._say(
            Text.assemble(
                "· ", (alert.level, COLOURS.get(alert.level, "")), f" {alert.rule}  {printable(alert.resource)}"
            )
        )

    def table(self) -> None:
        """Print a summary table, with the service if there is room."""
        roomy = self.console.width >= ROOMY
        table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), border_style="dim", header_style="dim")
        for column in ("level", "caught as", "attack", *(["service"] if roomy else [])):
            table.add_column(column, overflow="fold")
        table.add_column("after", justify="right", no_wrap=True)
        for level, rule, title, where, after in self._rows:
            table.add_row(level, Text(rule), Text(title), *([Text(where)] if roomy else []), Text(after))
        self.console.print()
        self.console.print(table)

    def end(self, text: str, *, good: bool) -> None:
        """Print a summary line."""
        self._say(Text(text, style="bold green" if good else "bold red"))

    def _say(self, text: Text) -> None:
        self.console.print(text, soft_wrap=not self.console.is_terminal, highlight=False)
