"""What the tests of several probes share."""

import pytest

from backwatch.collector.probes import _messages


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which gathered messages are told, which the test lets pass."""
    now = [1000.0]
    monkeypatch.setattr(_messages, "monotonic", lambda: now[0])
    return now
