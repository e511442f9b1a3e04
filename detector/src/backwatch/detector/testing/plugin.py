"""Hooks of pytest: options, the collector's early start, and the fixture. Loaded by every pytest that finds it.

So it imports nothing but pytest until an option, or ``backwatch = true`` in pytest's configuration, asks for it.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from backwatch.detector.testing.findings import TestFindings
    from backwatch.detector.testing.recording import Recording

_recordings: "list[Recording]" = []
"""The recording of this process, if there is one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    parser.addini(
        "backwatch", "Record the calls of the tests to backing services, for the fixture backwatch_findings.",
        type="bool", default=False,
    )  # fmt: skip
    parser.addini("backwatch_level", "Lowest level of backwatch_findings.", default="low")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start the collector before conftest files import the app and its drivers."""
    _start(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Start the collector in a worker of xdist that loads plugins late."""
    _start(config)


def pytest_unconfigure() -> None:
    """Unwrap the drivers."""
    while _recordings:
        _recordings.pop().stop()


def _start(config: Any) -> None:
    if not _recordings and config.getini("backwatch"):
        from backwatch.detector.testing.recording import Recording

        recording = Recording()
        recording.start()
        _recordings.append(recording)


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
