"""Fixtures shared by the tests of several probes."""

import pytest

from backwatch.collector.probes.toolkit import messages


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Virtual time by which gathered messages are recorded; the test advances it."""
    now = [1000.0]
    monkeypatch.setattr(messages, "monotonic", lambda: now[0])
    return now
