"""Servers that announce a version or an identity new to their resource."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, SAFE, at, list_fired, past

KNOWN_SERVER: dict[str, Any] = {**SAFE, names.SERVER_VERSION: "15.10", names.SERVER_ID: "7342"}
OTHER: dict[str, Any] = {**KNOWN_SERVER, names.SERVER_VERSION: "14.1"}


def test_only_a_new_version_raises_an_alert() -> None:
    assert list_fired(past(KNOWN_SERVER), [at(3 * DAY, OTHER), at(3 * DAY + 1, KNOWN_SERVER)]) == [
        {"server-changed"},
        set(),
    ]


def test_new_identity_raises_an_alert() -> None:
    assert list_fired(past(KNOWN_SERVER), [at(3 * DAY, {**KNOWN_SERVER, names.SERVER_ID: "1"})]) == [{"server-changed"}]


def test_minor_upgrade_of_a_known_or_verified_server_raises_nothing() -> None:
    newer = {**KNOWN_SERVER, names.SERVER_VERSION: "15.11"}
    moved = {**newer, names.PEER_ADDRESS: "203.0.113.9"}
    raised = list_fired(
        past(KNOWN_SERVER), [at(3 * DAY, {**moved, names.TLS_VERIFIED: "none"}), at(3 * DAY + 1, newer)]
    )
    assert raised[1] == set()
    assert raised[0] & {"server-changed", "peer-changed"}
    assert list_fired(past(KNOWN_SERVER), [at(3 * DAY, {**KNOWN_SERVER, names.SERVER_VERSION: "15.9"})]) == [
        {"server-changed"}
    ]
    assert list_fired(past(KNOWN_SERVER), [at(3 * DAY, {**KNOWN_SERVER, names.SERVER_VERSION: "16.1"})]) == [
        {"server-changed"}
    ]


def test_no_alert_before_the_resource_is_known() -> None:
    assert list_fired(past(KNOWN_SERVER, 20), [at(3 * DAY, OTHER)]) == [set()]


def test_nodes_alternating_in_the_first_hour_are_all_known() -> None:
    turns = [at(i * 10, OTHER if i % 3 else KNOWN_SERVER) for i in range(300)]
    assert set[str]().union(*list_fired(turns)) == set()
    assert list_fired(turns, [at(DAY, OTHER)]) == [set()]


def test_restarted_process_is_the_same_server() -> None:
    redis = {**KNOWN_SERVER, names.DB_SYSTEM: "redis", names.SERVER_VERSION: "7.2.11"}
    assert list_fired(past(redis), [at(3 * DAY, {**redis, names.SERVER_ID: "run 2"})]) == [set()]
    assert list_fired(past(redis), [at(3 * DAY, {**redis, names.SERVER_VERSION: "6.2.1"})]) == [{"server-changed"}]


def test_server_at_a_new_address_raises_only_peer_changed() -> None:
    assert list_fired(past(KNOWN_SERVER), [at(3 * DAY, {**OTHER, names.PEER_ADDRESS: "203.0.113.9"})]) == [
        {"peer-changed"}
    ]


def test_attack_calls_do_not_make_a_server_known() -> None:
    bombed = [at(3 * DAY + i * 3_600, OTHER, backwatch__payload__globals="os.system") for i in range(400)]
    assert "server-changed" in list_fired(past(KNOWN_SERVER), bombed, [at(30 * DAY, OTHER)])[0]


def test_upgrade_is_known_after_a_quiet_week() -> None:
    week = list_fired(past(KNOWN_SERVER), [at((3 + i / 4) * DAY, OTHER) for i in range(40)])
    assert all(raised == {"server-changed"} for raised in week[:28])
    assert week[-1] == set()


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("15.10", "15.11", False), ("8.0.36", "8.0.41", False), ("10.11.6-MariaDB", "10.11.9-MariaDB", False),
        ("15.10", "16.1", True), ("8.0.36", "8.4.3", True), ("10.6.18-MariaDB", "10.11.9-MariaDB", True),
        ("7.2.4", "7.4.0", True), ("8.0.41", "8.0.36", True),
    ],
)  # fmt: skip
def test_only_a_later_version_of_the_same_line_is_an_upgrade(before: str, after: str, *, changed: bool) -> None:
    found = list_fired(
        past({**KNOWN_SERVER, names.SERVER_VERSION: before}),
        [at(3 * DAY, {**KNOWN_SERVER, names.SERVER_VERSION: after})],
    )
    assert ("server-changed" in found[0]) is changed
