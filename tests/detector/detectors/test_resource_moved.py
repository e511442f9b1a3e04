"""Attached resources whose config variable names another host than before."""

from typing import Any

from backwatch.collector import names
from tests.detector.stories import DAY, SAFE, at, list_fired, past

LOCAL: dict[str, Any] = {
    **SAFE, names.RESOURCE_NAME: "DATABASE_URL", names.SERVER_ADDRESS: "localhost", names.SERVER_PORT: 5432,
    names.PEER_ADDRESS: "127.0.0.1", names.SERVER_VERSION: "15.10", names.SERVER_ID: "7342",
    names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none", names.RESOURCE_DECLARED: True,
}  # fmt: skip
MANAGED: dict[str, Any] = {
    **LOCAL, names.SERVER_ADDRESS: "orders.db.example", names.PEER_ADDRESS: "198.51.100.7",
    names.SERVER_VERSION: "17.2", names.SERVER_ID: "9981", names.TLS_ESTABLISHED: True, names.TLS_VERIFIED: "full",
    names.TLS_VERSION: "1.3", names.CERT_SHA256: "ab" * 32, names.CERT_ISSUER: "CN=Database CA",
}  # fmt: skip


def test_declared_move_to_a_verified_service_raises_nothing_above_informational() -> None:
    after = [at(3 * DAY + minute * 60, MANAGED) for minute in range(200)]
    raised = list_fired(past(LOCAL), after)
    assert raised[0] == {"resource-moved-as-declared"}
    assert set[str]().union(*raised) == {"resource-moved-as-declared"}


def test_move_to_an_undeclared_host_raises_a_high_alert() -> None:
    elsewhere = {**MANAGED, names.SERVER_ADDRESS: "orders.evil.example", names.RESOURCE_DECLARED: False}
    assert list_fired(past(LOCAL), [at(3 * DAY, elsewhere)]) == [{"resource-moved"}]


def test_move_without_a_declaration_raises_an_alert() -> None:
    undeclared = {name: value for name, value in MANAGED.items() if name != names.RESOURCE_DECLARED}
    assert list_fired(past(LOCAL), [at(3 * DAY, undeclared)]) == [{"resource-moved"}]


def test_declared_host_without_verification_is_no_excuse_for_another_server() -> None:
    plain = {**MANAGED, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
    assert list_fired(past(MANAGED), [at(3 * DAY, {**plain, names.SERVER_ADDRESS: "other.db.example"})])[0] & {
        "tls-stripped", "peer-changed", "server-changed",
    }  # fmt: skip


def test_server_swapped_behind_the_same_host_still_raises() -> None:
    swapped = {**MANAGED, names.PEER_ADDRESS: "203.0.113.9", names.TLS_VERIFIED: "none", names.SERVER_ID: "1"}
    assert list_fired(past(MANAGED), [at(3 * DAY, swapped)])[0] & {"peer-changed", "server-changed"}


def test_list_of_hosts_is_no_move() -> None:
    hosts = [{**MANAGED, names.SERVER_ADDRESS: f"node{number}.db.example"} for number in range(3)]
    turns = [at(second * 60, hosts[second % 3]) for second in range(300)]
    assert set[str]().union(*list_fired(turns)[-100:]) == set()


def test_resource_without_a_name_never_moves() -> None:
    unnamed = {name: value for name, value in MANAGED.items() if name != names.RESOURCE_NAME}
    raised = list_fired(past(unnamed), [at(3 * DAY, {**unnamed, names.SERVER_ADDRESS: "other.example"})])
    assert not raised[0] & {"resource-moved", "resource-moved-as-declared"}
