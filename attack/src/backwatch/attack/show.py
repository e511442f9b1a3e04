"""What the demo shows on the terminal: each attack as it is caught, and a table at the end."""

from collections.abc import Generator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backwatch.attack.cast import Act
from backwatch.store.queries import AlertRow

COLOURS = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}
FEATURE = 22
"""Width of a rule's name."""


class Show:
    """The terminal. Texts of alerts are shown as text, never as markup."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
        self._table.add_column("severity", no_wrap=True)
        self._table.add_column("caught as", no_wrap=True)
        self._table.add_column("service", overflow="fold")
        self._table.add_column("attack", overflow="fold", ratio=1)
        self._table.add_column("after", justify="right", no_wrap=True)

    def step(self, text: str) -> None:
        """One step of the set-up."""
        self._say(Text("· " + text, style="dim"))

    @contextmanager
    def playing(self, act: Act) -> Generator[None]:
        """An attack is on."""
        self._say(Text.assemble("\n" if self._table.row_count == 0 else "", ("▶ ", "bold"), act.title))
        with self.console.status(Text("  watching", style="dim"), spinner="dots"):
            yield

    def caught(self, act: Act, alert: AlertRow, after_s: float) -> None:
        """It was caught under its right name."""
        style = COLOURS.get(alert.level, "")
        after = f"{after_s:.1f} s"
        self._say(
            Text.assemble(
                ("  ✓ ", "bold green"), (alert.level, style), " " * (9 - len(alert.level)),
                (f"{alert.rule:{FEATURE}}", "bold"), f"{alert.resource}  ", (after, "dim"),
            )
        )  # fmt: skip
        self._table.add_row(Text(alert.level, style), Text(alert.rule), Text(alert.resource), Text(act.title), after)

    def missed(self, act: Act) -> None:
        """It was not."""
        self._say(Text(f"  ✗ missed   {act.rule} was expected on {act.system}", style="bold red"))
        self._table.add_row(Text("missed", "bold red"), Text(act.rule), Text(act.system), Text(act.title), "")

    def false_alert(self, alert: AlertRow) -> None:
        """Something was said that no attack explains."""
        self._say(Text(f"  ✗ false alert: {alert.rule} on {alert.resource}", style="bold red"))

    def later(self, alert: AlertRow) -> None:
        """Something is said after the cast has played."""
        self._say(Text.assemble("· ", (alert.level, COLOURS.get(alert.level, "")), f" {alert.rule}  {alert.resource}"))

    def table(self) -> None:
        """Everything, once more."""
        self.console.print()
        self.console.print(self._table)

    def end(self, text: str, *, good: bool) -> None:
        """How it went, in one line."""
        self._say(Text(text, style="bold green" if good else "bold red"))

    def _say(self, text: Text) -> None:
        self.console.print(text, soft_wrap=not self.console.is_terminal, highlight=False)
