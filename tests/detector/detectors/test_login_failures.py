"""Storms of refused logins."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, CallFacts, at, list_fired, past

REFUSED: dict[str, Any] = {names.ERROR_TYPE: "OperationalError", names.STATUS_CODE: "28P01", names.OPERATION: "connect"}


def storm(
    count: int, start_s: float = 3 * DAY, every_s: float = 0.2, facts: dict[str, Any] | None = None
) -> list[CallFacts]:
    return [
        {**at(start_s + i * every_s, statement="connect", site="pool.py:open"), **REFUSED, **(facts or {})}
        for i in range(count)
    ]


def test_eighth_refused_login_within_a_moment_starts_a_storm() -> None:
    found = list_fired(past(), storm(20))
    assert all(raised == set() for raised in found[:7])
    assert all(raised == {"login-failures"} for raised in found[7:])


def test_new_resource_is_judged_too() -> None:
    assert list_fired(storm(20))[-1] == {"login-failures"}


@pytest.mark.parametrize(
    ("system", "facts"),
    [
        ("mysql", {names.STATUS_CODE: "1045"}),
        ("redis", {names.STATUS_CODE: "WRONGPASS", names.ERROR_TYPE: "AuthenticationError"}),
        ("mongodb", {names.STATUS_CODE: "18", names.ERROR_TYPE: "OperationFailure"}),
        ("", {names.SYSTEM: "smtp", names.STATUS_CODE: "535", names.ERROR_TYPE: "SMTPAuthenticationError"}),
        ("", {names.SYSTEM: "http", names.STATUS_CODE: "", names.ERROR_TYPE: "401", names.HTTP_STATUS: 401}),
    ],
)
def test_refused_login_is_recognised_for_each_system(system: str, facts: dict[str, Any]) -> None:
    assert "login-failures" in list_fired(storm(20, facts={names.DB_SYSTEM: system, **facts}))[-1]


def test_other_errors_are_no_refused_logins() -> None:
    broken = {names.STATUS_CODE: "42601", names.ERROR_TYPE: "SyntaxError"}
    assert "login-failures" not in set[str]().union(*list_fired(past(), storm(40, facts=broken)))


def test_occasional_mistyped_password_is_no_storm() -> None:
    assert set[str]().union(*list_fired(storm(300, 0, every_s=120))) == set()


def test_frequent_refused_logins_raise_the_storm_threshold() -> None:
    usual = storm(3_000, 0, every_s=60)
    quiet = list_fired(usual)
    assert set[str]().union(*quiet[1_500:]) == set()
    assert list_fired(usual, storm(200, 3_000 * 60))[-1] == {"login-failures"}
