"""The plugin of one pytest run: records the profile or checks it at the end, and reports in the terminal."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from backwatch.collector.console.logs import escape
from backwatch.detector.profile.document import Profile, StatementEntry
from backwatch.detector.testing.recording import Recording
from backwatch.detector.testing.suite import (
    Suite,
    UnusableProfile,
    check,
    describe,
    name_app,
    read_profile,
    record,
)

REPORT: Final = "backwatch_report"
"""Key of a worker's report to the controller of pytest-xdist."""


class SuiteReporter:
    """Hooks of a run with ``--backwatch-record`` or ``--backwatch-check``.

    Args:
        path: The profile's file.
        checks: Whether the run fails on what the profile does not hold; else it is recorded there.

    Raises:
        pytest.UsageError: The file holds no profile, or there is none to check against.
    """

    def __init__(self, config: pytest.Config, recording: Recording, path: Path, *, checks: bool) -> None:
        self._config = config
        self._path = path
        self._shown = escape(os.path.relpath(path, config.invocation_params.dir))
        self._checks = checks
        self._suite = Suite(recording, config.getini("python_files"))
        self._lines: list[str] = []
        self._title = ""
        if path.suffix not in (".yml", ".yaml"):
            option = "--backwatch-check" if checks else "--backwatch-record"
            raise pytest.UsageError(
                f"{option}={self._shown}: a profile's file ends in .yml; tests stand before the option"
            )
        try:
            self._held = read_profile(path)
        except UnusableProfile as error:
            raise pytest.UsageError(escape(str(error))) from None
        if checks and self._held is None:
            raise pytest.UsageError(
                f"{self._shown}: no such profile; record it: pytest --backwatch-record={self._shown}"
            )

    def pytest_runtest_logfinish(self) -> None:
        """Keep the memory of a long suite bounded."""
        self._suite.on_test_end()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the report of a worker of xdist; one that crashed has none."""
        report = getattr(node, "workeroutput", {}).get(REPORT)
        if report is None:
            self._suite.incomplete = True
        else:
            self._suite.add_report(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Report to the controller, or record or check."""
        output: dict[str, str] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[REPORT] = self._suite.to_report()
            return
        seen = self._suite.finish()
        if self._checks:
            self._check(session, seen)
        elif session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            self._title = f"{self._shown} is unchanged: the suite failed"
        elif self._suite.incomplete:
            self._title = f"{self._shown} is unchanged: a worker ended without its report"
        else:
            self._record(session, seen)

    def _check(self, session: pytest.Session, seen: Profile) -> None:
        held = self._held or Profile(app="")
        injected = tuple(StatementEntry(site=site, statement=text) for site, text in sorted(self._suite.injected))
        missing = check(replace(seen, statements=(*seen.statements, *injected)), held)
        count = len(missing.statements) + len(missing.destinations)
        if self._suite.incomplete:
            self._lines.append("A worker ended without its report: its calls were not checked.")
        if not count:
            self._title = f"the app does nothing that {self._shown} does not hold"
            return
        self._title = f"{count} that {self._shown} does not hold"
        self._lines += describe(missing, escape)
        self._lines.append(
            f"If the app is meant to do this, record it (pytest --backwatch-record={self._shown}) and review the change"
            " of the file. If not, find the input or the code that it comes from."
        )
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _record(self, session: pytest.Session, seen: Profile) -> None:
        app = name_app(str(self._config.getini("backwatch_app")), self._config.rootpath)
        try:
            new, whole = record(seen, self._path, app)
        except UnusableProfile as error:
            self._title = escape(str(error))
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        added = len(new.statements) + len(new.destinations)
        self._title = (
            f"{self._shown}: {len(whole.statements)} statements and {len(whole.destinations)} destinations, {added} new"
        )
        self._lines += describe(new, escape)
        for site, statement in sorted(self._suite.injected):
            self._lines += [
                f"{escape(site) or 'at any call site'}",
                f"    not recorded, it looks injected: {escape(statement)}",
            ]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the report."""
        if not self._title:
            return
        terminalreporter.section(f"backwatch: {self._title}")
        for line in self._lines:
            terminalreporter.write_line(line)
        if self._suite.lost:
            terminalreporter.write_line(f"{self._suite.lost} calls or entries were lost: raise BACKWATCH_QUEUE_RECORDS")
