"""Declared identities: an announced swap raises nothing, and acceptance covers one value."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.log_entries import LogEntry, ProfileVersion
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, START_NS, Call, Facts, statement

DAY = 86_400 * SECOND
RESOURCE = "postgresql db.internal:5432/shop"
NODES = "a.internal:5432,b.internal:5432"
ORIGINAL_SESSION: Facts = {
    **SAFE,
    names.SERVER_ID: "7391",
    names.TLS_REQUESTED: "verify-ca",
    names.TLS_VERIFIED: "chain",
}
"""A session without full proof of the server's identity, so that its address counts too."""
SWAPPED_SESSION: Facts = {
    **ORIGINAL_SESSION, names.PEER_ADDRESS: "10.0.9.9", names.CERT_SHA256: "bb" * 32, names.CERT_ISSUER: "CN=Other CA",
    names.SERVER_VERSION: "16.4", names.SERVER_ID: "8422",
}  # fmt: skip
MOVED = "a.internal:5432,c.internal:5432"
SWAP = {
    names.CERT_SHA256: ["bb" * 32], names.PEER_ADDRESS: ["10.0.9.9"], names.SERVER_VERSION: ["16.4"],
    names.SERVER_ID: ["8422"], names.TOPOLOGY: ["c.internal:5432"], names.REDIRECT_TARGET: ["other.example"],
}  # fmt: skip
NOTHING = ProfileVersion("shop", "0")
MAX_DELTAS = 16
"""After a snapshot, until the next: a chain from the first call on costs the square of its length."""


def announce(values: Mapping[str, Sequence[str]] = SWAP, resource: str = RESOURCE, app: str = "shop") -> ProfileVersion:
    return ProfileVersion(app, "1", {resource: values})


def calls(session: Facts, count: int = 1, day: float = 2, step_ns: int = SECOND, **facts: Any) -> list[Call]:
    call_facts = {**statement("SELECT ?"), **{name.replace("__", "."): value for name, value in facts.items()}}
    return [Call(START_NS + int(day * DAY) + i * step_ns, session, call_facts) for i in range(count)]


def past(session: Facts = ORIGINAL_SESSION, count: int = 100) -> list[Call]:
    """Return two quiet days with the nodes reported now and then."""
    found = calls(session, count, 0, 2 * DAY // count)
    return [Call(one.end_ns, one.session, {**one.facts, names.TOPOLOGY: NODES} if i % 3 else one.facts)
            for i, one in enumerate(found)]  # fmt: skip


def story(*parts: Sequence[Call] | LogEntry, size: int = 100_000) -> list[LogEntry]:
    """Return log entries of calls and of the operator's declarations between them."""
    found: list[LogEntry] = []
    for part in parts:
        if isinstance(part, Sequence):
            made = streams.records(part)
            found += [streams.entry(made[at : at + size], at) for at in range(0, len(made), size)]
        else:
            found.append(part)
    return found


def find_raised(engine: Engine, entries: Sequence[LogEntry], *, restart: str = "") -> list[tuple[str, Any]]:
    """Return rule and certificate of each firing. The shard is reloaded after each entry."""
    shard, deltas, found = engine.new_shard(), list[bytes](), list[tuple[str, Any]]()
    for one in entries:
        events = engine.step(shard, one).events
        found += [
            (event.rule.name, finding.evidence.get(names.CERT_SHA256, "")[:2])
            for event in events if isinstance(event, Firings) for finding in event.iter_findings()
        ]  # fmt: skip
        if restart:
            shard = again(engine, shard, deltas, restart)
    return sorted(found)


def again(engine: Engine, shard: Shard, chain: list[bytes], how: str) -> Shard:
    """Return a shard that is loaded from the chain, which a snapshot begins anew now and then, as in the store."""
    if how == "snapshot" or len(chain) > MAX_DELTAS:
        chain[:] = [shard.snapshot()]
    else:
        chain.append(shard.delta())
    fresh = engine.new_shard()
    fresh.apply(chain)
    return fresh


def rules(engine: Engine, entries: Sequence[LogEntry]) -> set[str]:
    return {rule for rule, _ in find_raised(engine, entries)}


def swap(day: float = 2) -> list[Call]:
    return [*calls(SWAPPED_SESSION, 3, day), *calls(SWAPPED_SESSION, 2, day + 0.01, backwatch__topology=MOVED)]


def test_unannounced_swap_raises_alerts(engine: Engine) -> None:
    assert rules(engine, story(past(), swap())) == {"certificate-changed", "topology-changed"}


def test_announced_swap_raises_nothing(engine: Engine) -> None:
    assert rules(engine, story(past(), announce(), swap())) == set()


def test_value_missing_from_the_announcement_raises_an_alert(engine: Engine) -> None:
    others = {**SWAPPED_SESSION, names.CERT_SHA256: "cc" * 32}
    assert rules(engine, story(past(), announce(), swap(), calls(others, 2, 3))) == {"certificate-changed"}


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        (names.CERT_SHA256, "certificate-changed"),
        (names.PEER_ADDRESS, "peer-changed"),
        (names.SERVER_VERSION, "server-changed"),
        (names.SERVER_ID, "server-changed"),
        (names.TOPOLOGY, "topology-changed"),
    ],
)
def test_one_unannounced_value_raises_its_rule(engine: Engine, fact: str, rule: str) -> None:
    left = {name: values for name, values in SWAP.items() if name != fact}
    assert rules(engine, story(past(), announce(left), swap())) == {rule}


def test_announced_network_does_not_make_other_peers_known(engine: Engine) -> None:
    announcement = announce({names.PEER_ADDRESS: ["10.7.0.0/24"]})
    fleet = [
        one for i in range(24) for one in calls({**ORIGINAL_SESSION, names.PEER_ADDRESS: f"10.7.0.{i}"}, 2, 2 + i / 12)
    ]
    stranger = calls({**ORIGINAL_SESSION, names.PEER_ADDRESS: "203.0.113.9"}, 2, 4.1)
    assert rules(engine, story(past(), announcement, fleet)) == set()
    assert rules(engine, story(past(), announcement, fleet, calls(ORIGINAL_SESSION, 2, 4.05))) == set()
    assert rules(engine, story(past(), announcement, fleet, stranger)) == {"peer-changed"}
    assert rules(
        engine, story(announcement, past({**ORIGINAL_SESSION, names.PEER_ADDRESS: "10.7.0.1"}), fleet, stranger)
    ) == {"peer-changed"}


def test_announced_redirect_raises_nothing_except_to_an_internal_address(engine: Engine) -> None:
    away = calls(ORIGINAL_SESSION, 2, 2, backwatch__redirect__target="https://other.example/")
    assert rules(engine, story(past(), away)) == {"redirected"}
    assert rules(engine, story(past(), announce(), away)) == set()
    inside = calls(ORIGINAL_SESSION, 1, 2, backwatch__redirect__target="http://169.254.169.254/")
    announcement = announce({names.REDIRECT_TARGET: ["169.254.169.254"]})
    assert rules(engine, story(past(), announcement, inside)) == {"redirected"}


@pytest.mark.parametrize("target", ["https://?/", "https://?:8443/a", "?", "http://?/?"])
def test_redirect_to_an_unparseable_host_raises_an_alert(engine: Engine, target: str) -> None:
    assert rules(engine, story(past(), calls(ORIGINAL_SESSION, 2, 2, backwatch__redirect__target=target))) == {
        "redirected"
    }
    itself = calls(ORIGINAL_SESSION, 2, 2, backwatch__redirect__target="/login?next=/")
    assert rules(engine, story(past(), itself)) == set()


def test_announced_issuer_counts_only_for_a_verified_chain(engine: Engine) -> None:
    announcement = announce({**SWAP, names.CERT_SHA256: [], names.CERT_ISSUER: ["CN=Other CA"]})
    proven = {**SWAPPED_SESSION, names.TLS_VERIFIED: "full"}
    assert rules(engine, story(past(), announcement, calls(proven, 3))) == set()
    assert rules(engine, story(past(), announcement, calls(SWAPPED_SESSION, 3))) == {"certificate-changed"}


def test_network_and_a_plain_version_may_be_announced(engine: Engine) -> None:
    announcement = announce({**SWAP, names.PEER_ADDRESS: ["fd00::/64", "10.0.9.0/24"], names.SERVER_VERSION: ["16.4"]})
    new_session = {**SWAPPED_SESSION, names.SERVER_VERSION: "PostgreSQL 16.4 (Debian)"}
    assert rules(engine, story(past(), announcement, calls(new_session, 3))) == set()
    for name, value, rule in (
        (names.PEER_ADDRESS, "10.0.8.9", "peer-changed"),
        (names.SERVER_VERSION, "PostgreSQL 16.5 (Debian)", "server-changed"),
    ):
        assert rules(engine, story(past(), announcement, calls({**new_session, name: value}, 3))) == {rule}


def test_unused_announced_values_end_with_the_announcement(engine: Engine) -> None:
    assert "certificate-changed" in rules(engine, story(past(), announce(), NOTHING, swap()))


def test_values_used_while_announced_stay_known(engine: Engine) -> None:
    assert rules(engine, story(past(), announce(), swap(), NOTHING, swap(2.1))) == set()


def test_announcement_for_another_app_or_resource_has_no_effect(engine: Engine) -> None:
    for announcement in (announce(app="billing"), announce(resource="postgresql db.internal:5432/other")):
        assert "certificate-changed" in rules(engine, story(past(), announcement, swap()))


def test_resource_announced_before_its_first_call_skips_trust_on_first_use(engine: Engine) -> None:
    mallory = {**SWAPPED_SESSION, names.CERT_SHA256: "cc" * 32}
    assert rules(engine, story(calls(mallory, 3))) == set()
    assert rules(engine, story(announce(), calls(mallory, 3))) == {"certificate-changed"}
    assert rules(engine, story(announce(), calls(SWAPPED_SESSION, 3), calls(mallory, 1, 2.1))) == {
        "certificate-changed"
    }
    assert rules(engine, story(announce(), calls(SWAPPED_SESSION, 200, 0, DAY // 100))) == set()


def test_pin_ends_with_its_announcement(engine: Engine) -> None:
    mallory = {**SWAPPED_SESSION, names.CERT_SHA256: "cc" * 32}
    assert find_raised(engine, story(announce(), calls(mallory, 1), NOTHING, calls(mallory, 3, 2.1))) == [
        ("certificate-changed", "cc")
    ]


def test_renewal_of_an_announced_certificate_is_a_renewal(engine: Engine) -> None:
    new_session = {**SWAPPED_SESSION, names.TLS_VERIFIED: "full", names.CERT_NOT_AFTER: "2026-10-15T00:00:00Z"}
    renewed = {**new_session, names.CERT_SHA256: "dd" * 32, names.CERT_NOT_AFTER: "2027-10-15T00:00:00Z"}
    expiring = {"certificate-expiring"}
    assert rules(engine, story(past(), announce(), calls(new_session, 50), calls(renewed, 3, 3))) <= expiring


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("restart", ["", "snapshot", "delta"])
def test_announcements_do_not_depend_on_batches_or_restarts(engine: Engine, size: int, restart: str) -> None:
    mallory = {**SWAPPED_SESSION, names.CERT_SHA256: "cc" * 32}
    parts = (
        past(),
        announce(),
        swap(),
        calls(mallory, 3, 2.5),
        NOTHING,
        calls(ORIGINAL_SESSION, 3, 3),
        calls(mallory, 3, 3.5),
    )
    expected = find_raised(engine, story(*parts))
    assert expected
    assert expected == find_raised(engine, story(*parts, size=size), restart=restart)


@pytest.mark.parametrize("announced_hash", ["ab" * 32, "AB" * 32])
def test_announced_certificate_hash_matches_in_any_case(engine: Engine, announced_hash: str) -> None:
    as_collectors_write_it = {**ORIGINAL_SESSION, names.CERT_SHA256: "AB" * 32}
    other = story(past(), announce({names.CERT_SHA256: [announced_hash]}), calls(as_collectors_write_it, 3))
    assert rules(engine, other) == set()
