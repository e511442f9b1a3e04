"""Hooks of pytest: options, the collector's early start, and the fixture. Loaded by every pytest that finds it.

So it imports nothing but pytest until an option, or ``backwatch = true`` in pytest's configuration, asks for it.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from backwatch.detector.testing.findings import TestFindings
    from backwatch.detector.testing.recording import Recording

DEFAULT_FILE = "backwatch.yml"
_recordings: "list[Recording]" = []
"""The recording of this process, if there is one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    parser.addini(
        "backwatch", "Record the calls of the tests to backing services, for the fixture backwatch_findings.",
        type="bool", default=False,
    )  # fmt: skip
    parser.addini("backwatch_app", "Name of the app in a new profile, as production reports it.", default="")
    group = parser.getgroup("backwatch", "profile of the app (Backwatch)")
    for name, purpose in (
        ("record", "Add what the app does in these tests to its profile in FILE."),
        ("check", "Fail if the app does in these tests what its profile in FILE does not hold."),
    ):
        group.addoption(
            f"--backwatch-{name}", nargs="?", const=DEFAULT_FILE, default="", metavar="FILE",
            help=f"{purpose} Default: {DEFAULT_FILE}",
        )  # fmt: skip
    parser.addini("backwatch_level", "Lowest level of backwatch_findings.", default="low")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start the collector before conftest files import the app and its drivers."""
    _start(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Register what records or checks the profile.

    In a worker of xdist that loads plugins late, the collector starts here.
    """
    _start(config)
    given, checks = config.getoption("backwatch_record"), config.getoption("backwatch_check")
    if given and checks:
        raise pytest.UsageError("--backwatch-record and --backwatch-check exclude each other")
    if given or checks:
        from backwatch.detector.testing.reporting import SuiteReporter

        path = config.invocation_params.dir / str(given or checks)
        reporter = SuiteReporter(config, _recordings[0], path, checks=bool(checks))
        config.pluginmanager.register(reporter, "backwatch-suite")
    elif _recordings:
        config.pluginmanager.register(_Forgetting(_recordings[0]), "backwatch-suite")


def pytest_unconfigure() -> None:
    """Unwrap the drivers."""
    while _recordings:
        _recordings.pop().stop()


def _start(config: Any) -> None:
    options = getattr(config, "known_args_namespace", None) or config.option
    wanted = getattr(options, "backwatch_record", "") or getattr(options, "backwatch_check", "")
    if not _recordings and (wanted or config.getini("backwatch")):
        from backwatch.detector.testing.recording import Recording

        recording = Recording()
        recording.start()
        _recordings.append(recording)


class _Forgetting:
    """Drops the calls of each test that ended: only the fixture looks at them."""

    def __init__(self, recording: "Recording") -> None:
        self._recording = recording

    def pytest_runtest_logfinish(self) -> None:
        self._recording.values.clear()


@pytest.fixture
def backwatch_findings(request: pytest.FixtureRequest) -> "TestFindings":
    """Return what Backwatch's rules raise on the calls of this test: ``assert not backwatch_findings``."""
    if not _recordings:
        pytest.fail("backwatch_findings needs backwatch = true in pytest's configuration", pytrace=False)
    from backwatch.detector.testing.findings import LEVELS, TestFindings

    level = str(request.config.getini("backwatch_level"))
    if level not in LEVELS:
        pytest.fail(f"backwatch_level must be one of {', '.join(LEVELS)}, not {level!r}", pytrace=False)
    return TestFindings(_recordings[0], level)
