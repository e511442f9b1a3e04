"""Which minutes the usual range of a resource begins with."""

from tests.detector.small_engine import SmallEngine


def test_a_range_does_not_begin_with_a_suspects_minutes() -> None:
    def told(poisoned: int) -> set[str]:
        engine = SmallEngine()
        engine.window(0, calls=50, bytes_received=200_000, rows_returned=500)
        for minute in range(1, 1 + poisoned):
            engine.window(minute, calls=50, bytes_received=900_000_000, rows_returned=500, suspects=3)
        for minute in range(10, 200):
            engine.window(
                minute, calls=50 + minute % 9, bytes_received=200_000 + 999 * (minute % 13), rows_returned=500
            )
        return engine.window(201, calls=50, bytes_received=90_000_000, rows_returned=500)[0]

    assert told(poisoned=0) == told(poisoned=5) == {"volume-spike"}
