"""Calls that take far longer than any earlier call of their statement."""

from typing import Any

from backwatch.collector import names
from tests.detector.stories import DAY, CallFacts, at, list_fired

MS = 1_000_000


def make_slow_call(at_s: float, ms: int, **facts: Any) -> CallFacts:
    return at(at_s, duration_ns=ms * MS, **facts)


def usual(count: int = 100, ms: int = 5) -> list[CallFacts]:
    return [make_slow_call(i * 600, ms + i % 7) for i in range(count)]


def test_dripping_response_raises_an_alert() -> None:
    assert list_fired(usual(), [make_slow_call(3 * DAY, 9_000)]) == [{"slow-response"}]


def test_call_beyond_the_drivers_timeout_raises_an_alert() -> None:
    assert list_fired(usual(), [make_slow_call(3 * DAY, 5_000, **{names.ERROR_TYPE: "TimeoutError"})]) == [
        {"slow-response"}
    ]


def test_relatively_slow_but_quick_call_raises_nothing() -> None:
    assert list_fired(usual(), [make_slow_call(3 * DAY, 900)]) == [set()]


def test_statement_that_always_waits_raises_nothing() -> None:
    assert list_fired(usual(ms=30_000), [make_slow_call(3 * DAY, 60_000)]) == [set()]


def test_no_alert_before_enough_calls_of_the_statement() -> None:
    assert list_fired(usual(20), [make_slow_call(3 * DAY, 60_000)]) == [set()]


def test_slow_calls_become_usual_only_by_many() -> None:
    found = list_fired(usual(), [make_slow_call(3 * DAY + i * 60, 20_000) for i in range(100)])
    assert all(raised == {"slow-response"} for raised in found[:30])
    assert found[-1] == set()


def test_duration_of_an_attack_call_is_not_learnt() -> None:
    bombed = [make_slow_call(i * 600, 60_000, backwatch__payload__globals="os.system") for i in range(100)]
    assert "slow-response" in list_fired(bombed, usual(), [make_slow_call(3 * DAY, 60_000)])[0]
