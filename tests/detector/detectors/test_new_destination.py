"""Destinations that are new at a place of the app's code."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.small_engine import call
from tests.detector.stories import DAY, CallFacts, list_fired

MIB = 1 << 20
PROVEN: dict[str, Any] = {names.TLS_ESTABLISHED: True, names.TLS_VERIFIED: "full"}


def to(at_s: float, host: str, peer: str = "203.0.113.7", site: str = "fetch.py:get", **facts: Any) -> CallFacts:
    """Return a web request; further facts use ``__`` for a dot."""
    port = int(facts.pop("port", 443))
    statement = f"GET {host}/a"
    return {
        **call(at_s, "", site), names.DB_SYSTEM: "", names.SYSTEM: "http", names.SERVER_ADDRESS: host,
        names.SERVER_PORT: port, names.PEER_ADDRESS: peer, names.STATEMENT: statement, names.TRANSPORT: "tcp",
        "resource": f"{host}:{port}", **{name.replace("__", "."): value for name, value in facts.items()},
    }  # fmt: skip


def usual(*hosts: str, count: int = 300, step_s: float = 600, **facts: Any) -> list[CallFacts]:
    """Return calls that go round these hosts."""
    return [to(i * step_s, hosts[i % len(hosts)], **facts) for i in range(count)]


API = usual("api.example.com")
INSIDE: list[tuple[str, str]] = [
    ("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("10.0.0.5", "10.0.0.5"), ("0x7f.1", ""),
    ("[::ffff:10.0.0.5]", ""), ("169.254.1.1", "169.254.1.1"), ("redis.default.svc", "10.0.0.5"), ("redis", "10.0.0.5"),
    ("db.internal", ""), ("rebound.example.net", "127.0.0.1"), ("rebound.example.net", "10.0.0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "peer"), INSIDE)
def test_internal_host_at_a_settled_place_is_forged(host: str, peer: str) -> None:
    assert list_fired(API, [to(3 * DAY, host, peer, port=6379)]) == [{"internal-destination"}]


@pytest.mark.parametrize(("host", "peer"), INSIDE)
def test_internal_host_is_forged_where_any_url_is_fetched(host: str, peer: str) -> None:
    past = [to(i, f"img.host{i}.example" if i % 2 else f"h{i}.org") for i in range(12)]
    assert list_fired(past, [to(20, host, peer, port=6379)]) == [{"internal-destination"}]


def test_known_name_that_turns_to_an_internal_address_is_forged() -> None:
    assert list_fired(API, [to(3 * DAY, "api.example.com", "127.0.0.1")]) == [{"internal-destination"}]


def test_failed_attempt_is_forged_too() -> None:
    attempt = to(
        3 * DAY, "10.0.0.5", "", port=6379, error__type="ConnectionRefusedError", db__operation__name="connect"
    )
    assert list_fired(API, [attempt]) == [{"internal-destination"}]


def test_metadata_is_reported_by_its_own_rule() -> None:
    assert list_fired(API, [to(3 * DAY, "0xa9.254.0251.254", "169.254.169.254", port=80)]) == [{"metadata-address"}]


def test_repeated_attempts_stay_reported() -> None:
    attempts = [to(3 * DAY + i * 3_600, "10.0.0.5", "10.0.0.5", port=8080) for i in range(24)]
    assert list_fired(API, attempts) == [{"internal-destination"}] * 24


def test_attempts_where_any_url_is_fetched_teach_nothing() -> None:
    past = [to(i, f"h{i}.org") for i in range(12)]
    attempts = [to(20 + i, f"10.0.{i}.5", "", port=8080 + i) for i in range(24)]
    assert list_fired(past, attempts) == [{"internal-destination"}] * 24


def test_known_internal_services_raise_nothing() -> None:
    hosts = [f"{name}.shop.svc.cluster.local" for name in ("users", "orders", "stock", "mail")]
    past = usual(*hosts, "api.example.com")
    assert list_fired(past, [to(3 * DAY, "prices.shop.svc.cluster.local", "10.0.0.9")]) == [set()]


def test_pods_behind_a_name_or_by_address_raise_nothing() -> None:
    named = [to(i * 600, "users.shop.svc", f"10.0.{i % 9}.{i}") for i in range(200)]
    assert list_fired(named, [to(3 * DAY, "users.shop.svc", "10.0.200.9")]) == [set()]
    numeric = [to(i * 600, f"10.0.{i // 50}.7", f"10.0.{i // 50}.7", port=8080) for i in range(200)]
    assert list_fired(numeric, [to(3 * DAY, "10.0.99.7", "10.0.99.7", port=8080)]) == [set()]
    pods = [to(i * 600, f"redis-{i // 100}.redis.shop.svc.cluster.local", "10.0.0.1") for i in range(200)]
    assert list_fired(pods, [to(3 * DAY, "redis-2.redis.shop.svc.cluster.local", "10.0.0.2")]) == [set()]


def test_public_names_inside_the_network_raise_nothing() -> None:
    past = usual("api.example.com", peer="10.0.0.1")
    assert list_fired(past, [to(3 * DAY, "api.example.com", "10.0.0.2", **PROVEN)]) == [set()]


def test_new_host_through_a_proxy_is_no_forged_request() -> None:
    past = usual("api.example.com", peer="10.0.0.1")
    assert "internal-destination" not in list_fired(past, [to(3 * DAY, "api.example.org", "10.0.0.1")])[0]


def test_private_endpoint_with_a_proven_certificate_raises_nothing() -> None:
    assert list_fired(API, [to(3 * DAY, "api.example.com", "10.0.0.1", **PROVEN)]) == [set()]


def test_first_hosts_of_an_app_raise_nothing() -> None:
    calls = [to(i, host) for i, host in enumerate(["a.example.com", "127.0.0.1", "10.0.0.5", "redis", "b.example.org"])]
    assert list_fired(calls) == [set()] * 5


def test_database_that_moves_inside_raises_nothing() -> None:
    db = {names.SYSTEM: "", names.DB_SYSTEM: "postgresql", names.STATEMENT: "", names.QUERY_TEXT: "SELECT ?"}
    past = [{**call_, **db} for call_ in usual("db-a.example.com")]
    assert list_fired(past, [{**to(3 * DAY, "db.internal", "10.0.0.5", port=5432), **db}]) == [set()]


def test_new_public_host_is_of_low_weight() -> None:
    assert list_fired(API, [to(3 * DAY, "drop.example.net")]) == [{"new-destination"}]


@pytest.mark.parametrize("host", ["eu.example.com", "tenant-7.example.com"])
def test_other_name_of_a_known_domain_is_not_new(host: str) -> None:
    assert list_fired(API, [to(3 * DAY, host, "198.51.100.9")]) == [set()]


def test_fan_out_to_customers_is_never_new() -> None:
    hooks = [to(i * 600, f"hooks.customer{i % 90}.example") for i in range(400)]
    hooks = [{**hook, names.SERVER_ADDRESS: f"hooks{i % 90}.c{i % 90}.org"} for i, hook in enumerate(hooks)]
    assert list_fired(hooks, [to(3 * DAY, "hooks.new.example")]) == [set()]


def test_host_that_comes_with_a_release_is_not_new() -> None:
    past = usual("api.example.com", service__version="1")
    story = [to(3 * DAY + i, "pay.example.net", service__version="2") for i in range(3)]
    assert list_fired(past, story) == [set()] * 3


def uploads(
    at_s: float, host: str = "drop.example.net", count: int = 4, mib: int = 50, **facts: Any
) -> list[CallFacts]:
    return [
        to(at_s + i * 30, host, site="leak.py:send", backwatch__bytes__sent=mib * MIB, **facts) for i in range(count)
    ]


def test_upload_to_a_new_host_is_reported_within_two_minutes() -> None:
    found = list_fired(API, uploads(3 * DAY))
    assert "data-to-new-destination" in set().union(*found)


def test_slow_upload_to_a_new_host_is_reported_within_a_day() -> None:
    slow = [
        to(3 * DAY + i * 60, "drop.example.net", site="leak.py:send", backwatch__bytes__sent=MIB) for i in range(90)
    ]
    assert {"data-to-new-destination"} in list_fired(API, slow)


def test_upload_to_a_known_host_raises_nothing() -> None:
    past = usual("files.example.com", backwatch__bytes__sent=1_000)
    assert list_fired(past, uploads(3 * DAY, "files.example.com")) == [set()] * 4


def test_new_bucket_that_gets_what_others_get_raises_nothing() -> None:
    past = [
        to(i * 600, f"b{i % 40}.s3.amazonaws.com", site="leak.py:send", backwatch__bytes__sent=60 * MIB)
        for i in range(600)
    ]
    assert list_fired(past, uploads(5 * DAY, "b99.s3.amazonaws.com", 2)) == [set()] * 2


def test_upload_from_a_place_that_came_with_a_release_raises_nothing() -> None:
    past = usual("api.example.com", service__version="1")
    released = [to(3 * DAY, "api.example.com", service__version="2")]
    assert list_fired(past, released, uploads(3 * DAY + 60, service__version="2")) == [set()] * 4


def test_upload_inside_the_network_does_not_leave() -> None:
    found = list_fired(API, uploads(3 * DAY, "backup.shop.svc"))
    assert "data-to-new-destination" not in set().union(*found)


def mail(at_s: float, domains: str, **facts: Any) -> CallFacts:
    message = {names.SYSTEM: "smtp", names.STATEMENT: f"SEND {domains}", names.OPERATION: "send"}
    return {**to(at_s, "mail.example.com", port=587, site="report.py:send", **facts), **message}


def test_message_to_a_new_domain_is_of_low_weight() -> None:
    past = [mail(i * 600, "example.com") for i in range(300)]
    assert list_fired(past, [mail(3 * DAY, "example.com,mallory.example")]) == [{"new-destination"}]
    assert list_fired(past, [mail(3 * DAY, "example.com")]) == [set()]


def test_message_to_another_customer_is_no_news() -> None:
    past = [mail(i * 600, f"customer{i % 60}.example") for i in range(400)]
    assert "new-destination" not in list_fired(past, [mail(3 * DAY, "new.example")])[0]


def test_internal_host_behind_the_proxy_of_public_ones_is_forged() -> None:
    past = [to(i, f"h{i}.org", "10.0.0.1") for i in range(12)]
    assert list_fired(past, [to(20, "10.0.0.5", "10.0.0.1", port=8080)]) == [{"internal-destination"}]
