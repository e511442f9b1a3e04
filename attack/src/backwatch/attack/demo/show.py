"""The demo's terminal output: each attack when it is caught, and a final table."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from backwatch.attack.demo.attacks import Attack
from backwatch.attack.terminal import COLOURS, Terminal, printable
from backwatch.store.queries import AlertRow

WIDTH = 20
"""Columns for a rule's name."""
ROOMY = 120
"""Width of a terminal with room for one more column."""


class Show(Terminal):
    """The terminal output of the demo."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._rows: list[tuple[Text, str, str, str, str]] = []

    @contextmanager
    def watch(self, attack: Attack) -> Generator[None]:
        """Show that an attack is running."""
        self.print_line(Text.assemble("\n" if not self._rows else "", ("▶ ", "bold"), attack.title))
        with self.console.status(Text("  watching", style="dim"), spinner="dots"):
            yield

    def print_caught(self, attack: Attack, alert: AlertRow, after_s: float) -> None:
        """Print that the attack was caught under its expected rule."""
        style = COLOURS.get(alert.level, "")
        after = f"{after_s:.1f} s"
        self.print_line(
            Text.assemble(
                ("  ✓ ", "bold green"), (alert.level, style), " " * (9 - len(alert.level)),
                (f"{alert.rule:{WIDTH}}", "bold"), f"{printable(alert.resource)}  ", (after, "dim"),
            )
        )  # fmt: skip
        where = printable(alert.resource).removeprefix(attack.system + " ")
        self._rows.append((Text(alert.level, style), alert.rule, attack.title, where, after))

    def print_missed(self, attack: Attack) -> None:
        """Print that the attack was missed."""
        self.print_line(Text(f"  ✗ missed   {attack.rule} was expected on {attack.system}", style="bold red"))
        self._rows.append((Text("missed", "bold red"), attack.rule, attack.title, attack.system, ""))

    def print_false_alert(self, alert: AlertRow) -> None:
        """Print an alert that no attack explains."""
        self.print_line(Text(f"  ✗ false alert: {alert.rule} on {printable(alert.resource)}", style="bold red"))

    def print_late_alert(self, alert: AlertRow) -> None:
        """Print an alert that was raised after the last attack."""
        self.print_line(
            Text.assemble(
                "· ", (alert.level, COLOURS.get(alert.level, "")), f" {alert.rule}  {printable(alert.resource)}"
            )
        )

    def table(self) -> None:
        """Print a summary table, with the service if there is room."""
        roomy = self.console.width >= ROOMY
        table = self.new_table()
        for column in ("level", "caught as", "attack", *(["service"] if roomy else [])):
            table.add_column(column, overflow="fold")
        table.add_column("after", justify="right", no_wrap=True)
        for level, rule, title, where, after in self._rows:
            table.add_row(level, Text(rule), Text(title), *([Text(where)] if roomy else []), Text(after))
        self.print_table(table)
