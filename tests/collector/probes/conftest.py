"""What the tests of several probes share."""

import pytest

from backwatch.collector.probes.toolkit import messages


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which gathered messages are told, which the test lets pass."""
    now = [1000.0]
    monkeypatch.setattr(messages, "monotonic", lambda: now[0])
    return now
