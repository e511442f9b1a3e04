"""Services that fail every call."""

from typing import Any

import numpy as np
import pytest

from backwatch.collector import names
from backwatch.detector.detectors.error_storm import SERVED, _judge  # pyright: ignore[reportPrivateUsage]
from tests.detector.stories import DAY, CallFacts, at, list_fired, past

RESET: dict[str, Any] = {names.ERROR_TYPE: "ConnectionResetError"}


def make_failures(
    count: int, start_s: float = 3 * DAY, every_s: float = 0.5, facts: dict[str, Any] | None = None
) -> list[CallFacts]:
    return [{**at(start_s + i * every_s), **RESET, **(facts or {})} for i in range(count)]


def test_eight_consecutive_failed_calls_are_a_storm() -> None:
    found = list_fired(past(), make_failures(20))
    assert all(one == set() for one in found[:7])
    assert all(one == {"error-storm"} for one in found[7:])


def test_unknown_resource_is_not_judged() -> None:
    assert set[str]().union(*list_fired(make_failures(50))) == set()


def test_usual_failures_of_a_resource_raise_nothing() -> None:
    flaky = [one for i in range(40) for one in (*make_failures(4, i * 60, 0.1), at(i * 60 + 30), at(i * 60 + 31))]
    assert "error-storm" not in set[str]().union(*list_fired(flaky, make_failures(20, DAY / 24)))


def test_successful_response_ends_the_failure_run() -> None:
    calls = [one for i in range(10) for one in (*make_failures(5, 3 * DAY + i * 10), at(3 * DAY + i * 10 + 9))]
    assert "error-storm" not in set[str]().union(*list_fired(past(), calls))


def test_accepted_login_does_not_end_the_failure_run() -> None:
    calls = [one for i in range(10) for one in (at(3 * DAY + i, statement=""), *make_failures(1, 3 * DAY + i + 0.5))]
    found = list_fired(past(), calls)
    assert [i for i, one in enumerate(found) if "error-storm" in one] == [15, 17, 19]


@pytest.mark.parametrize(
    "own",
    [
        {names.ERROR_TYPE: "ProgrammingError", names.STATUS_CODE: "42601"},
        {names.ERROR_TYPE: "IntegrityError", names.STATUS_CODE: "23505"},
        {names.ERROR_TYPE: "404", names.HTTP_STATUS: 404, names.SYSTEM: "http", names.DB_SYSTEM: ""},
    ],
)
def test_errors_of_the_app_are_no_service_failures(own: dict[str, Any]) -> None:
    assert "error-storm" not in set[str]().union(*list_fired(past(), make_failures(30, facts=own)))


def test_busy_resource_is_judged_by_its_share_of_faults() -> None:
    rows = np.zeros(2, SERVED)
    count = 1 << 20
    none, some = np.zeros(count, np.int8), (np.arange(count) % 100 == 0).astype(np.int8)
    facts = np.empty(count), np.empty(count), np.empty(count)
    for batch in range(24):
        time_ns = (batch * count + np.arange(count)) * 2_000_000  # 500 a second
        _judge(some, some, none, 1 - none, time_ns, np.ones(count, np.int32), rows, *facts)
    assert 0.009 < rows[1]["usual"] / rows[1]["usual_calls"] < 0.011


def test_http_server_errors_are_service_failures() -> None:
    web = {names.SYSTEM: "http", names.DB_SYSTEM: "", names.ERROR_TYPE: "503", names.HTTP_STATUS: 503}
    assert list_fired(past(), make_failures(30, facts=web))[-1] == {"error-storm"}
