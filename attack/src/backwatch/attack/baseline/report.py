"""Output of ``backwatch attack quiet``: progress, a final table, and the evidence of each alert."""

import json
from collections.abc import Sequence

from rich.text import Text

from backwatch.attack.baseline.workload_runs import WorkloadRun
from backwatch.attack.terminal import Terminal, printable


class QuietReport(Terminal):
    """The terminal output of a quiet hour."""

    def table(self, runs: Sequence[WorkloadRun]) -> None:
        """Print every workload on each driver."""
        table = self.new_table()
        for column in ("workload", "driver"):
            table.add_column(column, no_wrap=True)
        table.add_column("calls", justify="right", no_wrap=True)
        for column in ("alerts", "informational", "while learning"):
            table.add_column(column, overflow="fold")
        for run in runs:
            alert = run.outcome or ", ".join(sorted({each.rule for each in run.false_alerts})) or "nothing"
            table.add_row(
                run.workload.name(), f"{run.driver} {run.driver_version}", f"{run.calls:,}",
                Text(printable(alert), style="" if run.is_quiet else "bold red"), ", ".join(run.informational),
                ", ".join(run.before),
            )  # fmt: skip
        self.print_table(table)

    def summarize(self, runs: Sequence[WorkloadRun]) -> bool:
        """Print alerts with their evidence and a summary line. Return whether there were none."""
        for run in runs:
            for alert in run.false_alerts:
                head = f"  ✗ {run.workload.name()} on {run.driver}: {alert.rule} ({alert.level}), {alert.count} times: "
                self.print_line(Text(head, style="bold red"))
                self.print_line(Text("    " + printable(json.dumps(alert.evidence, sort_keys=True)[:600]), style="red"))
        ran = [run for run in runs if not run.outcome.startswith("not run")]
        calls, alerts = sum(run.calls for run in ran), sum(len(run.false_alerts) for run in ran)
        failed = sum(run.outcome.startswith("failed") for run in ran)
        good = bool(ran) and all(run.is_quiet for run in ran)
        workloads, drivers = len({run.workload for run in ran}), len({run.driver for run in ran})
        rest = len(runs) - len(ran)
        self.end(
            f"{workloads} workloads on {drivers} drivers, {calls:,} calls: {alerts} alerts above informational"
            + (f"; {failed} failed" if failed else "") + (f"; {rest} could not be run here" if rest else ""),
            good=good,
        )  # fmt: skip
        return good
