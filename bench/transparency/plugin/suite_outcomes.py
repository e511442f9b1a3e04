"""Write each test's result into the file of ``SUITE_OUTCOMES``, one JSON line each.

The suite's own process loads this, by pytest (``-p suite_outcomes``) or as unittest's result class. It needs only the
standard library. It writes a line when a phase ends, so that a suite that hangs or crashes has reported its progress.
The last line holds the faults that Backwatch's guard swallowed, if Backwatch was there.
"""

import json
import os
import sys
import unittest
from typing import Any

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
FILE = os.environ["SUITE_OUTCOMES"]
"""Read at once: a suite may clear its environment."""


def write_line(**line: object) -> None:
    """Append one line."""
    with open(FILE, "a", encoding="utf-8") as file:  # noqa: PTH123  a suite may patch pathlib
        file.write(json.dumps(line) + "\n")


def report_faults() -> None:
    """Report the collector's swallowed faults in this process, and the active probes."""
    guard = sys.modules.get("backwatch.collector.runtime.guard")
    start = sys.modules.get("backwatch.collector.bootstrap.start")
    if guard is not None and start is not None:
        swallowed = [f"{name}: {error!r}" for name, error in guard.swallowed]
        write_line(faults=guard.faults, swallowed=swallowed, probes=sorted(start.get_active_probes()))


def pytest_runtest_logreport(report: Any) -> None:
    """Record one phase of one test: a failure of any phase is the test's."""
    if report.failed:
        write_line(test=report.nodeid, outcome=FAILED, why=str(report.longrepr)[-2000:])
    elif report.skipped:
        write_line(test=report.nodeid, outcome=SKIPPED)
    elif report.when == "call":
        write_line(test=report.nodeid, outcome=PASSED)


def pytest_collectreport(report: Any) -> None:
    """Record a file that cannot be imported as a failed test of that name."""
    if report.failed:
        write_line(test=report.nodeid, outcome=FAILED, why=str(report.longrepr)[-2000:])


def pytest_sessionfinish() -> None:
    """Write the final line."""
    report_faults()


class Result(unittest.TextTestResult):
    """The same for a suite that runs under unittest."""

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802  unittest's name
        """Record a pass."""
        super().addSuccess(test)
        write_line(test=test.id(), outcome=PASSED)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """Record a skip."""
        super().addSkip(test, reason)
        write_line(test=test.id(), outcome=SKIPPED)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Record a failure."""
        super().addFailure(test, err)
        write_line(test=test.id(), outcome=FAILED, why=self.failures[-1][1][-2000:])

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Record an error as a failure."""
        super().addError(test, err)
        write_line(test=test.id(), outcome=FAILED, why=self.errors[-1][1][-2000:])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Record a failed part as a failure of the whole."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            write_line(test=test.id(), outcome=FAILED, why=str(err[1])[-2000:])

    def stopTestRun(self) -> None:  # noqa: N802
        """Write the final line."""
        super().stopTestRun()
        report_faults()
