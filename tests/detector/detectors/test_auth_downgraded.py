"""Logins with a weaker method than the resource's usual one."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, SAFE, at, list_fired, past


def by(method: str, **more: Any) -> dict[str, Any]:
    return {**SAFE, names.AUTH_METHOD: method, **{name.replace("__", "."): value for name, value in more.items()}}


SCRAM = by("scram-sha-256")


@pytest.mark.parametrize("weaker", ["clear-password", "md5", "none"])
def test_weaker_login_raises_an_alert(weaker: str) -> None:
    assert "auth-downgraded" in list_fired(past(SCRAM), [at(3 * DAY, by(weaker))])[0]


@pytest.mark.parametrize(
    ("usual", "now"),
    [("md5", "scram-sha-256"), ("scram-sha-256", "a plugin of our own"), ("clear-password", "clear-password")],
)
def test_equally_strong_login_raises_nothing(usual: str, now: str) -> None:
    assert list_fired(past(by(usual)), [at(3 * DAY, by(now))]) == [set()]


def test_password_over_verified_tls_ranks_above_a_weak_hash() -> None:
    proven = by("clear-password", backwatch__tls__verified="full")
    assert list_fired(past(by("mysql_native_password")), [at(3 * DAY, proven)]) == [set()]
    assert "auth-downgraded" in list_fired(past(by("mysql_native_password")), [at(3 * DAY, by("clear-password"))])[0]


def test_lost_tls_is_stripping_and_no_weaker_method() -> None:
    usual = by("clear-password", backwatch__tls__verified="full", backwatch__tls__requested="verify-full")
    bare = {names.TLS_ESTABLISHED: False, names.AUTH_METHOD: "clear-password", names.PEER_ADDRESS: "198.51.100.7"}
    assert list_fired(past(usual), [at(3 * DAY, bare)]) == [{"tls-stripped"}]
    hashed = {**bare, names.AUTH_METHOD: "caching_sha2_password"}
    assert list_fired(past({**usual, **by("caching_sha2_password")}), [at(3 * DAY, hashed)]) == [{"tls-stripped"}]


def test_no_alert_before_the_statement_is_known() -> None:
    assert list_fired(past(SCRAM, 25), [at(3 * DAY, by("none"))]) == [set()]


def test_calls_before_each_login_do_not_hide_a_downgrade() -> None:
    mixed = [at(i * 600, by("none") if i % 2 else SCRAM, statement="hello" if i % 2 else "find") for i in range(200)]
    assert set[str]().union(*list_fired(mixed)) == set()
    assert list_fired(mixed, [at(3 * DAY, by("none"), statement="hello")]) == [set()]
    assert "auth-downgraded" in list_fired(mixed, [at(3 * DAY, by("none"), statement="find")])[0]


def test_attack_calls_do_not_make_a_login_method_known() -> None:
    bombed = [at(i * 600, by("none"), backwatch__payload__globals="os.system") for i in range(100)]
    assert "auth-downgraded" in list_fired(bombed, past(SCRAM), [at(3 * DAY, by("none"))])[0]


def test_weaker_login_becomes_usual_after_a_week_but_no_still_weaker_one() -> None:
    week = [at((3 + i / 4) * DAY, by("md5")) for i in range(40)]
    found = list_fired(past(SCRAM), week)
    assert all(raised == {"auth-downgraded"} for raised in found[:28])
    assert found[-1] == set()
    assert "auth-downgraded" in list_fired(past(SCRAM), week, [at(20 * DAY, by("clear-password"))])[0]


def test_request_for_a_clear_password_raises_one_alert_with_or_without_history() -> None:
    bare = {names.TLS_ESTABLISHED: False, names.PEER_ADDRESS: "198.51.100.7", names.TLS_REQUESTED: "prefer"}
    hashed, clear = {**bare, names.AUTH_METHOD: "scram-sha-256"}, {**bare, names.AUTH_METHOD: "clear-password"}
    story = [at(i * 600, hashed) for i in range(200)]
    assert list_fired(story)[-1] == {"plaintext-session"}
    assert list_fired(story, [at(3 * DAY, clear)]) == [{"auth-downgraded"}]
    assert list_fired([at(0, clear)]) == [{"password-in-clear"}]


def test_broken_login_counts_only_if_the_password_was_requested() -> None:
    broken = {names.ERROR_TYPE: "ConnectionResetError"}
    assert list_fired(past(SCRAM), [at(3 * DAY, {**by("none"), **broken})]) == [set()]
    assert list_fired(past(SCRAM), [at(3 * DAY, {**by("mysql_native_password"), **broken})]) == [set()]
    assert list_fired(past(SCRAM), [at(3 * DAY, {**by("clear-password"), **broken})]) == [{"auth-downgraded"}]
    refused = {names.DB_SYSTEM: "mysql", names.ERROR_TYPE: "OperationalError", names.STATUS_CODE: "1045"}
    assert list_fired(past(SCRAM), [at(3 * DAY, {**by("mysql_native_password"), **refused})]) == [{"auth-downgraded"}]
