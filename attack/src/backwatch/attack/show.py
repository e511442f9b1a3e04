"""What the demo shows on the terminal: each attack as it is caught, and a table at the end."""

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


class Show:
    """The terminal. Texts of alerts are shown as text, never as markup."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._table = Table(title="Attacks", title_justify="left", expand=False)
        for column in ("severity", "caught as", "service", "attack", "after"):
            self._table.add_column(column, overflow="fold")

    def step(self, text: str) -> None:
        """One step of the set-up."""
        self.console.print(Text("· " + text, style="dim"))

    def begins(self, act: Act) -> None:
        """An attack begins."""
        self.console.print(Text("▶ " + act.title))

    def caught(self, act: Act, alert: AlertRow, after_s: float) -> None:
        """It was caught under its right name."""
        style = COLOURS.get(alert.level, "")
        self.console.print(
            Text.assemble("  ✓ ", (f"{alert.level:8} {alert.rule}", style), f"  {alert.resource}  {after_s:.1f} s")
        )
        self._table.add_row(
            Text(alert.level, style), Text(alert.rule), Text(alert.resource), Text(act.title), f"{after_s:.1f} s"
        )

    def missed(self, act: Act) -> None:
        """It was not."""
        self.console.print(Text(f"  ✗ missed: {act.rule} expected", style="bold red"))
        self._table.add_row(Text("missed", "bold red"), Text(act.rule), Text(act.system), Text(act.title), "")

    def false_alert(self, alert: AlertRow) -> None:
        """Something was said that no attack explains."""
        self.console.print(Text(f"  ✗ false alert: {alert.rule} on {alert.resource}", style="bold red"))

    def table(self) -> None:
        """Everything, once more."""
        self.console.print(self._table)
