"""Do third-party test suites notice that Backwatch observes them?

    make bench NAME=transparency             ARGS="redis requests", "--short"
    make bench NAME=transparency             ARGS="--columns attached psycopg2 asyncpg"

A suite is one file in ``bench/transparency``. Each runs bare, under ``backwatch run``, and under OpenTelemetry's
contrib instrumentation of the same driver if there is one, every time against its own server. In the column attached,
connections are opened by ``backwatch.resource`` in mode enforce (psycopg2, asyncpg). An instrumented column
first proves that calls were recorded. Newly failed tests passed bare and did not pass in the column, less the tests
that assert that nothing is wrapped, which the suite's file lists by name with the reason. If a test would be newly
failed, the suite runs bare once more, and tests that then fail are set aside by name as unstable. Logs:
``.tools/transparency/<suite>/<column>.log``.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import suite_run, suite_setup
from bench.suite_run import ATTACHED, BACKWATCH, BARE, CONTRIB, FAILED, PASSED, SuiteRun
from bench.suite_setup import Suite

SHORT = ("pymemcache", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteColumn:
    """One instrumented run compared with the bare run.

    Attributes:
        newly_failed: Tests that pass bare, and not here.
        unwrapped: Tests among those that assert that nothing is wrapped.
    """

    name: str
    run: SuiteRun
    newly_failed: list[str]
    unwrapped: list[str] = field(default_factory=list[str])

    @property
    def figures(self) -> dict[str, int]:
        """Return the figures as the last line of the output has them."""
        return {
            "passed": len(self.run.of(PASSED)), "failed": len(self.run.of(FAILED)),
            "newly_failed": len(self.newly_failed),
        }  # fmt: skip


def compare(suite: Suite, name: str, run: SuiteRun, stable: set[str]) -> SuiteColumn:
    """Return the tests that a column newly fails; a missing or skipped test did not pass either."""
    lost = sorted(stable - run.of(PASSED))
    listed = suite.asserts_unwrapped
    return SuiteColumn(
        name=name, run=run, newly_failed=[test for test in lost if test not in listed],
        unwrapped=[test for test in lost if test in listed],
    )  # fmt: skip


def measure(suite: Suite, columns: Sequence[str], *, short: bool = False) -> dict[str, SuiteColumn]:
    """Run a suite in all columns and print the results.

    Raises:
        SystemExit: The suite does not run here, or an instrumented column recorded nothing.
    """
    suite_setup.prepare(suite)
    print(f"{suite.name}: {suite.source}", flush=True)
    stable = _run_timed(suite, f"{BARE}1", short=short).of(PASSED)
    if not stable:
        raise SystemExit(f"bench: {suite.name}: nothing passes bare: see {suite.folder / 'bare1.log'}")
    runs: dict[str, SuiteRun] = {}
    for name in columns:
        if name == CONTRIB and not suite.contrib:
            print(f"  {CONTRIB:10} there is no instrumentation of this driver")
            continue
        run = _run_timed(suite, name, short=short)
        if run.recorded == 0:
            raise SystemExit(f"bench: {suite.name}: {name} recorded no call: its column would prove nothing")
        runs[name] = run
    if any(compare(suite, name, run, stable).newly_failed for name, run in runs.items()):
        again = _run_timed(suite, f"{BARE}2", short=short).of(PASSED)
        for test in sorted(stable - again):
            print(f"    unstable, set aside: {test}")
        stable &= again
    found = {name: compare(suite, name, run, stable) for name, run in runs.items()}
    for column in found.values():
        _show(column)
    return found


def _run_timed(suite: Suite, name: str, *, short: bool) -> SuiteRun:
    begun = time.monotonic()
    run = suite_run.run(suite, name.rstrip("12"), suite.folder / f"{name}.log", short=short)
    ended = "took too long and was ended" if run.ended is None else f"exit code {run.ended}"
    recorded = f", {run.recorded:,} calls recorded" if run.recorded else ""
    print(
        f"  {name:10} {len(run.of(PASSED)):6,} passed {len(run.of(FAILED)):5,} failed"
        f"  {time.monotonic() - begun:4.0f} s, {ended}{recorded}",
        flush=True,
    )
    return run


def _show(column: SuiteColumn) -> None:
    print(f"  {column.name:10} {len(column.newly_failed):6,} newly failed")
    for test in column.newly_failed:
        why = column.run.why.get(test, column.run.outcomes.get(test, "not run")).strip().splitlines()
        print(f"    newly failed: {test}: {why[-1][:200] if why else ''}")
    for test in column.unwrapped:
        print(f"    asserts that nothing is wrapped: {test}")
    if column.run.faults:
        print(f"    {column.run.faults} faults were swallowed: {'; '.join(column.run.swallowed[:5])[:600]}")
    sys.stdout.flush()


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(suite_setup.list_suites())}; all where none is named")
    parser.add_argument("--short", action="store_true", help=f"{' and '.join(SHORT)}, parts of them")
    parser.add_argument("--columns", default=f"{BACKWATCH},{CONTRIB}", help="beside the bare run")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # suite and server end with this process
    names = options.suites or (SHORT if options.short else suite_setup.list_suites())
    result: dict[str, dict[str, int]] = {}
    missing: list[str] = []
    for name in names:
        try:
            found = measure(suite_setup.load(name), options.columns.split(","), short=options.short)
        except SystemExit as error:
            missing.append(name)
            print(error, flush=True)
            continue
        for column in (BACKWATCH, ATTACHED):
            if column in found:
                result[name if column == BACKWATCH else f"{name} {column}"] = found[column].figures
    if missing:
        print(f"not measured: {', '.join(missing)}")
    print(json.dumps(result))
    if missing:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
