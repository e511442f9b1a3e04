"""Identity alerts show the previous and the current value, bounded and independent of batches."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.derived.identity_facts import LIMITS, WAS
from backwatch.detector.engine.findings import MAX_FIRSTS, Firings
from backwatch.detector.engine.log_entries import LogEntry
from backwatch.detector.engine.step import Engine
from backwatch.detector.identity import identity_snapshot
from backwatch.detector.identity.identity_snapshot import cut
from backwatch.store.ring import SHOWN
from tests.detector.identity.test_identities import (
    DAY,
    MOVED,
    NODES,
    ORIGINAL_SESSION,
    SWAPPED_SESSION,
    again,
    calls,
    past,
    story,
)
from tests.detector.streams import Call

KNOWN = {**ORIGINAL_SESSION, names.AUTH_METHOD: "scram-sha-256"}


def find_changes(engine: Engine, entries: Sequence[LogEntry], *, restart: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return rule, previous and current values of each firing in order."""
    shard, deltas, reported = engine.new_shard(), list[bytes](), list[tuple[str, dict[str, Any]]]()
    for one in entries:
        for event in engine.step(shard, one).events:
            for each in event.iter_findings() if isinstance(event, Firings) else ():
                was = {name: value for name, value in each.evidence.items() if name.endswith(WAS)}
                reported.append((each.rule.name, {"at": each.time_ns, **was}))
        if restart:
            shard = again(engine, shard, deltas, restart)
    return sorted(reported, key=str)


def was(engine: Engine, *parts: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Return the previous values in the newest firing of each rule."""
    return {
        rule: {name: text for name, text in reported.items() if name in WERE}
        for rule, reported in find_changes(engine, story(*parts))
    }


WERE = {name + WAS for name in LIMITS}


def test_changed_certificate_shows_exactly_the_changed_values(engine: Engine) -> None:
    assert was(engine, past(), calls(SWAPPED_SESSION)) == {
        "certificate-changed": {
            names.CERT_SHA256 + WAS: "aa" * 32, names.CERT_ISSUER + WAS: "CN=Company CA",
            names.PEER_ADDRESS + WAS: "10.0.0.5", names.SERVER_VERSION + WAS: "15.10", names.SERVER_ID + WAS: "7391",
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("session", "facts", "rule", "shows"),
    [
        ({names.PEER_ADDRESS: "10.0.9.9"}, {}, "peer-changed", {names.PEER_ADDRESS + WAS: "10.0.0.5"}),
        ({names.SERVER_VERSION: "9.4"}, {}, "server-changed", {names.SERVER_VERSION + WAS: "15.10"}),
        ({}, {"backwatch__topology": MOVED}, "topology-changed", {names.TOPOLOGY + WAS: NODES}),
        ({names.AUTH_METHOD: "md5"}, {}, "auth-downgraded", {names.AUTH_METHOD + WAS: "scram-sha-256"}),
    ],
)
def test_each_rule_shows_the_previous_value_of_its_fact(
    engine: Engine, session: dict[str, str], facts: dict[str, Any], rule: str, shows: dict[str, str]
) -> None:
    reported = was(engine, past(KNOWN), calls({**KNOWN, **session}, **facts))
    assert reported[rule] == shows


def test_attack_values_never_become_the_previous_value(engine: Engine) -> None:
    others = {**SWAPPED_SESSION, names.CERT_SHA256: "cc" * 32}
    reported = find_changes(engine, story(past(), calls(SWAPPED_SESSION, 5), calls(others, 5, 2.1)))
    assert {one[names.CERT_SHA256 + WAS] for _, one in reported} == {"aa" * 32}


def test_previous_value_is_the_last_of_several_known_values(engine: Engine) -> None:
    replica = {**ORIGINAL_SESSION, names.PEER_ADDRESS: "10.0.0.6"}
    both = [Call(one.end_ns, (ORIGINAL_SESSION, replica)[i % 2], one.facts) for i, one in enumerate(past(count=400))]
    other_session = {**ORIGINAL_SESSION, names.PEER_ADDRESS: "10.0.9.9"}
    ends = [
        *calls(ORIGINAL_SESSION, 1, 2.1),
        *calls(other_session, 1, 2.2),
        *calls(replica, 1, 2.3),
        *calls(other_session, 1, 2.4),
    ]
    reported = [one[names.PEER_ADDRESS + WAS] for _, one in find_changes(engine, story(both, ends))]
    assert reported == ["10.0.0.5", "10.0.0.6"]


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("restart", ["", "snapshot", "delta"])
def test_previous_value_does_not_depend_on_batches_or_restarts(engine: Engine, size: int, restart: str) -> None:
    bare_session = {
        name: value for name, value in ORIGINAL_SESSION.items() if name not in (names.SERVER_VERSION, names.SERVER_ID)
    }
    mixed = [Call(one.end_ns, (ORIGINAL_SESSION, bare_session)[i % 2], one.facts) for i, one in enumerate(past())]
    parts = (
        mixed,
        calls(SWAPPED_SESSION, 20),
        calls(bare_session, 20, 2.1),
        calls({**SWAPPED_SESSION, names.SERVER_VERSION: "9"}, 20, 2.2),
    )
    expected = find_changes(engine, story(*parts))
    assert len(expected) >= 40
    assert expected == find_changes(engine, story(*parts, size=size), restart=restart)


def test_long_server_text_is_truncated(engine: Engine) -> None:
    long = {**ORIGINAL_SESSION, names.SERVER_VERSION: "15 " + "é" * 5_000, names.CERT_ISSUER: "CN=" + "x" * 5_000}
    entries = story(past(long))
    shard = engine.new_shard()
    for one in entries:
        engine.step(shard, one)
    (texts,) = shard.shown.texts.values()
    assert all(len(text.encode()) <= LIMITS[name] for name, text in texts.items())
    assert texts[names.CERT_ISSUER].endswith("…")
    assert sum(len(text.encode()) for text in texts.values()) <= identity_snapshot.BYTES


@given(st.binary(max_size=400), st.sampled_from(sorted(LIMITS.values())))
def test_text_of_any_bytes_is_bounded(text: bytes, limit: int) -> None:
    kept = cut(text, limit)
    assert len(kept.encode()) <= limit
    if len(text.decode("utf-8", "replace").encode()) <= limit:
        assert kept == text.decode("utf-8", "replace")


def test_reused_slot_does_not_show_texts_of_the_earlier_resource(engine: Engine) -> None:
    shard = engine.new_shard()
    for one in story(past()):
        engine.step(shard, one)
    (slot,) = shard.shown.texts
    shard.delta()
    shard.name_resource(slot, ("shop", "redis", "cache:6379", "0"))
    assert shard.shown.texts == {}
    fresh = engine.new_shard()
    fresh.apply([shard.delta()])
    assert fresh.shown.texts == {}


def test_days_of_one_quiet_service_change_no_text(engine: Engine) -> None:
    shard = engine.new_shard()
    for one in story(past()):
        engine.step(shard, one)
    shard.delta()
    for one in story(calls(ORIGINAL_SESSION, 50, 2, DAY // 10), size=10):
        engine.step(shard, one)
    assert shard.shown.scalars(everything=False) == {"shown": {}}


def test_step_returns_as_many_first_occurrences_as_the_store_keeps() -> None:
    assert MAX_FIRSTS == SHOWN
