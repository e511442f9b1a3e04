"""Output of ``backwatch attack quiet``: progress, a final table, and the evidence of each alert."""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backwatch.attack.baseline.parts import Part
from backwatch.attack.environment import printable


class QuietReport:
    """The terminal output. Texts of services and drivers are shown as text, never as markup or control characters."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        """Print one step."""
        self._say(Text("· " + printable(text), style="dim"))

    def table(self, parts: Sequence[Part]) -> None:
        """Print every scene on each driver."""
        table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), border_style="dim", header_style="dim")
        for column in ("scene", "driver"):
            table.add_column(column, no_wrap=True)
        table.add_column("calls", justify="right", no_wrap=True)
        for column in ("said", "informational", "while learning"):
            table.add_column(column, overflow="fold")
        for part in parts:
            alert = part.outcome or ", ".join(sorted({each.rule for each in part.said})) or "nothing"
            table.add_row(
                part.scene.name(), f"{part.driver} {part.driver_version}", f"{part.calls:,}",
                Text(printable(alert), style="" if part.quiet else "bold red"), ", ".join(part.told),
                ", ".join(part.before),
            )  # fmt: skip
        self._console.print()
        self._console.print(table)

    def end(self, parts: Sequence[Part]) -> bool:
        """Print alerts with their evidence and a summary line. Return whether there were none."""
        for part in parts:
            for alert in part.said:
                head = f"  ✗ {part.scene.name()} on {part.driver}: {alert.rule} ({alert.level}), {alert.count} times: "
                self._say(Text(head, style="bold red"))
                self._say(Text("    " + printable(json.dumps(alert.evidence, sort_keys=True)[:600]), style="red"))
        ran = [part for part in parts if not part.outcome.startswith("not run")]
        calls, alerts, failed = sum(part.calls for part in ran), sum(len(part.said) for part in ran), 0
        failed = sum(part.outcome.startswith("failed") for part in ran)
        good = bool(ran) and all(part.quiet for part in ran)
        scenes, drivers = len({part.scene for part in ran}), len({part.driver for part in ran})
        rest = len(parts) - len(ran)
        self._say(
            Text(
                f"{scenes} scenes on {drivers} drivers, {calls:,} calls: {alerts} alerts above informational"
                + (f"; {failed} failed" if failed else "")
                + (f"; {rest} could not be run here" if rest else ""),
                style="bold green" if good else "bold red",
            )
        )
        return good

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal, highlight=False)
