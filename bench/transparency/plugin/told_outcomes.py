"""Writes how each test of somebody's suite ended into the file that ``TOLD_OUTCOMES`` names, one JSON line each.

Loaded into the suite's own process, by pytest (``-p told_outcomes``) or as unittest's result class; it needs nothing
but what is there. A line is written when a phase ends, so that a suite that hangs or crashes has told what it did.
At the end stands what Backwatch's guard swallowed, if Backwatch was there.
"""

import json
import os
import sys
import unittest
from typing import Any

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
FILE = os.environ["TOLD_OUTCOMES"]
"""Read at once: a suite may clear its environment."""


def tell(**line: object) -> None:
    """Appends one line."""
    with open(FILE, "a", encoding="utf-8") as file:  # noqa: PTH123  a suite may patch pathlib
        file.write(json.dumps(line) + "\n")


def tell_faults() -> None:
    """Says which faults of ours were swallowed in this process, and which probes were at work."""
    guard = sys.modules.get("backwatch.collector.runtime.guard")
    start = sys.modules.get("backwatch.collector.bootstrap.start")
    if guard is not None and start is not None:
        swallowed = [f"{name}: {error!r}" for name, error in guard.swallowed]
        tell(faults=guard.faults, swallowed=swallowed, probes=sorted(start.get_active_probes()))


def pytest_runtest_logreport(report: Any) -> None:
    """One phase of one test: a failure of any phase is the test's."""
    if report.failed:
        tell(test=report.nodeid, outcome=FAILED, why=str(report.longrepr)[-2000:])
    elif report.skipped:
        tell(test=report.nodeid, outcome=SKIPPED)
    elif report.when == "call":
        tell(test=report.nodeid, outcome=PASSED)


def pytest_collectreport(report: Any) -> None:
    """A file that cannot be imported is a failed test of that name."""
    if report.failed:
        tell(test=report.nodeid, outcome=FAILED, why=str(report.longrepr)[-2000:])


def pytest_sessionfinish() -> None:
    """The last word."""
    tell_faults()


class Result(unittest.TextTestResult):
    """The same for a suite that is run by unittest."""

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802  unittest's name
        """Passed."""
        super().addSuccess(test)
        tell(test=test.id(), outcome=PASSED)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """Skipped."""
        super().addSkip(test, reason)
        tell(test=test.id(), outcome=SKIPPED)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Failed."""
        super().addFailure(test, err)
        tell(test=test.id(), outcome=FAILED, why=self.failures[-1][1][-2000:])

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Failed too."""
        super().addError(test, err)
        tell(test=test.id(), outcome=FAILED, why=self.errors[-1][1][-2000:])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """A part that fails, fails the whole."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            tell(test=test.id(), outcome=FAILED, why=str(err[1])[-2000:])

    def stopTestRun(self) -> None:  # noqa: N802
        """The last word."""
        super().stopTestRun()
        tell_faults()
