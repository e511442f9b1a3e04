"""Services that fail every call."""

from typing import Any

import numpy as np
import pytest

from backwatch.collector import names
from backwatch.detector.detectors.error_storm import SERVED, ErrorStorm, _judge  # pyright: ignore[reportPrivateUsage]
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
        _judge(some, none, some, none, 1 - none, time_ns, np.ones(count, np.int32), rows, *facts)
    assert 0.009 < rows[1]["usual"] / rows[1]["usual_calls"] < 0.011


def test_http_server_errors_are_service_failures() -> None:
    web = {names.SYSTEM: "http", names.DB_SYSTEM: "", names.ERROR_TYPE: "500", names.HTTP_STATUS: 500}
    assert list_fired(past(), make_failures(30, facts=web))[-1] == {"error-storm"}


@pytest.mark.parametrize(
    "pause",
    [
        {names.ERROR_TYPE: "AdminShutdown", names.STATUS_CODE: "57P01"},
        {names.SYSTEM: "http", names.DB_SYSTEM: "", names.ERROR_TYPE: "503", names.HTTP_STATUS: 503},
        {names.DB_SYSTEM: "redis", names.ERROR_TYPE: "BusyLoadingError"},
    ],
)
def test_reported_restart_may_take_five_minutes_and_no_longer(pause: dict[str, Any]) -> None:
    calls = [*make_failures(2, facts=pause), *make_failures(400, 3 * DAY + 1, 1)]
    found = list_fired(past(), calls)
    assert "error-storm" not in set[str]().union(*found[:300])
    assert "error-storm" in found[-1]


def find_storms(*lengths: int) -> list[bool]:
    """Return for each night's outage, with one failed call a second, whether it raised an alert."""
    found = list[bool]()
    calls, ends = list[CallFacts](), list[int]()
    for night, length in enumerate(lengths, 3):
        calls += make_failures(length, night * DAY, 1)
        ends.append(len(calls))
        calls += [at(night * DAY + 900 + i) for i in range(40)]
    fired = list_fired(past(), calls)
    for begin, end in zip([0, *ends], ends, strict=False):
        found.append("error-storm" in set[str]().union(*fired[begin:end]))
    return found


def test_outage_as_long_as_earlier_ones_is_usual_from_the_third_on() -> None:
    assert find_storms(30, 30, 30, 40) == [True, True, False, False]


def test_outage_longer_than_the_usual_ones_is_a_storm() -> None:
    assert find_storms(30, 30, 120) == [True, True, True]


def test_outages_that_grow_nightly_leave_the_usual_length() -> None:
    assert find_storms(30, 30, 40, 60) == [True, True, False, True]


@pytest.mark.parametrize("every_s", [285, 7_200])
def test_outages_of_one_day_do_not_become_usual(every_s: int) -> None:
    calls = list[CallFacts]()
    for begin in range(0, 5 * every_s, every_s):
        calls += [*make_failures(140, 3 * DAY + begin, 2), at(3 * DAY + begin + 281)]
    fired = list_fired(past(), calls)
    assert all("error-storm" in fired[end] for end in range(139, len(fired), 141))


def make_runs(count: int, length: int, start_s: float = 5 * DAY) -> list[CallFacts]:
    """Return runs of failed calls, one a second, with a single response after each."""
    calls = list[CallFacts]()
    for begin in range(0, count * (length + 1), length + 1):
        calls += [*make_failures(length, start_s + begin, 1), at(start_s + begin + length)]
    return calls


def test_single_responses_do_not_hide_that_a_resource_is_down() -> None:
    usual = make_runs(1, 280, 3 * DAY) + make_runs(1, 280, 4 * DAY)
    found = ["error-storm" in fired for fired in list_fired(past(), usual, make_runs(9, 100))]
    assert not any(found[:420])
    assert all(found[end] for end in range(5 * 101 - 2, len(found), 101))


def test_responses_within_a_usual_outage_are_no_news() -> None:
    usual = make_runs(1, 120, 3 * DAY) + make_runs(1, 120, 4 * DAY)
    assert "error-storm" not in set[str]().union(*list_fired(past(), usual, make_runs(8, 14)))


def test_long_outages_never_become_usual() -> None:
    assert find_storms(400, 400, 400, 30) == [True, True, True, True]


def test_storm_state_of_version_1_is_kept() -> None:
    names_1 = [
        name
        for name in SERVED.names or ()
        if name not in ("begun_ns", "fault_ns", "ended_ns", "longest_ns", "outages", "run", "outage_ns", "counted_ns")
    ]
    before = np.zeros(2, np.dtype([(name, SERVED[name]) for name in names_1]))
    before["usual_calls"] = 40.0
    after = ErrorStorm().migrate(ErrorStorm.tables[0], before, 1)
    assert after.dtype == SERVED
    assert after["usual_calls"].tolist() == [40.0, 40.0]
    assert not after["outages"].any()
