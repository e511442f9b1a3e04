"""A flood through the real commands: few alerts, few messages, and every critical alert within five seconds."""

from pathlib import Path

from bench.flood import flood

MESSAGES_AN_HOUR = 60
CRITICAL_WITHIN_S = 5.0


def test_every_critical_alert_of_a_flood_is_delivered_within_five_seconds(tmp_path: Path) -> None:
    found = flood(f"sqlite:///{tmp_path / 'stream.db'}", tmp_path, calls=20_000, rate=2_500, critical_every_s=2.0)
    assert len(found.critical_s) >= 4
    assert max(found.critical_s) <= CRITICAL_WITHIN_S
    assert found.messages <= MESSAGES_AN_HOUR
    assert found.alerts <= 40
