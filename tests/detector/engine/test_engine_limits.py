"""Floods and hostile names: shared slots, bounded texts, and distinct ids for distinct keys."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.columns.key_texts import MAX_PART_CHARACTERS, part
from backwatch.detector.engine.findings import Firings, as_evidence
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.runtime.replay import MAX_SHARDS, Replay, as_json
from backwatch.detector.state import keys
from backwatch.detector.state.key_space import Space
from tests.detector import streams
from tests.detector.engine.test_engine_streams import run
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=3_600 * SECOND)
PLAIN = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
SMALL = {
    "resource": (6, 0), "app": (4, 0), "caller": (12, 6), "site": (12, 6), "statement": (24, 8),
    "site_statement": (24, 6), "session": (8, 4),
}  # fmt: skip


@pytest.fixture
def small_spaces() -> Iterator[None]:
    """Shrink the key spaces so that a short stream overflows them."""
    before = {space: (space.capacity, space.per_parent) for space in keys.SPACES}
    for space in keys.SPACES:
        _resize(space, *SMALL[space.name])
    yield
    for space, sizes in zip(before, before.values(), strict=True):
        _resize(space, *sizes)


def _resize(space: keys.KeySpace, capacity: int, per_parent: int) -> None:
    object.__setattr__(space, "capacity", capacity)
    object.__setattr__(space, "per_parent", per_parent)


def crowd(count: int = 400) -> list[tuple[bytes, int, bool]]:
    """Return more resources, call sites and statements than have room, appearing in turns."""
    calls = [
        Call(
            START_NS + i * 3 * SECOND, {**(PLAIN if i % 11 == 0 else SAFE), names.DB_NAMESPACE: f"n{i // 40 % 9}"},
            statement(f"SELECT a FROM t{i * 7 % 40}", f"v.py:f{i % 5 + i // 60}", i % 13),
        )
        for i in range(count)
    ]  # fmt: skip
    return streams.records(calls, 2)


@pytest.mark.usefixtures("small_spaces")
@pytest.mark.parametrize(("cuts", "restart"), [([100_000], False), ([7, 3], True)])
def test_overflow_and_reclaiming_do_not_depend_on_batches(engine: Engine, cuts: list[int], restart: bool) -> None:
    values = crowd()
    assert run(engine, values, [1]) == run(engine, values, cuts, restart=restart)


def test_run_longer_than_one_pass_gives_the_same_result(engine: Engine) -> None:
    # 20 000 calls within one boundary: the engine splits them itself.
    calls = [Call(START_NS + i * 1000, PLAIN if i == 16_384 else SAFE, statement("SELECT ?")) for i in range(20_000)]
    values = streams.records(calls, 1_000)
    assert run(engine, values, [100]) == run(engine, values, [3])


def test_parent_over_quota_loses_only_its_own_oldest_slots() -> None:
    space = Space(replace(keys.STATEMENT, capacity=100, per_parent=20, sketched=False), [])
    time = np.arange(30, dtype=np.int64)
    space.intern(np.arange(1, 6, dtype=np.uint64), np.full(5, 2, np.int32), time[:5])
    slot, _, _ = space.intern(np.arange(101, 131, dtype=np.uint64), np.ones(30, np.int32), time)
    assert (slot[:20] > 0).all()
    assert (slot[20:] == 0).all()
    stale = space.find_stale(30)
    assert sorted(space.keys[stale].tolist()) == [101, 102, 103, 104, 105]
    space.reclaim(stale)
    again, _, _ = space.intern(np.array([131], np.uint64), np.ones(1, np.int32), time[:1])
    assert again[0] > 0
    assert not space.find_stale(30).shape[0]


@given(st.text(), st.text())
def test_key_separators_in_names_are_escaped_without_collisions(first: str, second: str) -> None:
    assert not {"\x1e", "\x1f"} & set(part(first))
    assert (part(first) == part(second)) == (first == second)


def find_keys(engine: Engine, calls: list[Call]) -> list[tuple[str, str, str]]:
    findings = engine.step(engine.new_shard(), streams.entry(streams.records(calls)))
    return [(one.rule.name, one.alert_id, one.key.text) for one in findings.events if isinstance(one, Firings)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {names.DB_SYSTEM: "a\x1fb", names.SERVER_ADDRESS: "c"},
            {names.DB_SYSTEM: "a", names.SERVER_ADDRESS: "b\x1fc"},
        ),
        ({names.DB_NAMESPACE: "n\x1e"}, {names.DB_NAMESPACE: "n\x1f"}),
        ({names.DB_NAMESPACE: "n" * 70_000 + "a"}, {names.DB_NAMESPACE: "n" * 60_000 + "b"}),
    ],
)
def test_hostile_names_do_not_merge_alerts_of_two_resources(
    engine: Engine, one: dict[str, Any], other: dict[str, Any]
) -> None:
    keys_found = [
        find_keys(engine, [Call(START_NS, {**PLAIN, names.SERVER_PORT: 1, **more}, statement("SELECT ?"))])
        for more in (one, other)
    ]
    assert keys_found[0]
    assert not {key[1] for key in keys_found[0]} & {key[1] for key in keys_found[1]}


def test_resource_names_are_bounded_in_state_and_evidence(engine: Engine) -> None:
    long = "x" * 65_536
    session = {**PLAIN, names.DB_NAMESPACE: long, names.SERVER_ADDRESS: long, names.CERT_SUBJECT: long}
    shard = engine.new_shard()
    findings = engine.step(
        shard, streams.entry(streams.records([Call(START_NS, session, statement(long, f"{long}:{long}"), app=long)]))
    )
    assert max(len(text) for parts in shard.resources.values() for text in parts) <= MAX_PART_CHARACTERS + 50
    for one in findings.iter_findings():
        assert len(json.dumps(as_json(one))) < 32_768
        assert len(one.key.text) < 8 * MAX_PART_CHARACTERS


def test_rule_reads_text_behind_a_long_harmless_prefix(engine: Engine) -> None:
    facts = {
        names.STATEMENT: "GET ?", names.PAYLOAD_FORMAT: "pickle",
        names.PAYLOAD_GLOBALS: ",".join(["shop.models.Order"] * 100) + ",os.system",
    }  # fmt: skip
    found = find_keys(engine, [Call(START_NS, {**SAFE, names.DB_SYSTEM: "redis"}, facts)])
    assert "hostile-payload" in {rule for rule, _, _ in found}


def test_evidence_is_json_without_unknown_facts() -> None:
    facts = {"unknown": np.float64("nan"), "small": np.float32("nan"), "all": float("inf"), "part": np.float64(1.23456)}
    shown = as_evidence(facts.items())
    assert json.loads(json.dumps(shown, allow_nan=False)) == {"all": "inf", "part": 1.2346}


def test_replay_output_is_ascii_json_for_any_text(engine: Engine) -> None:
    hostile = "\x00\x1b]0;x\x07\u202e\N{FULL BLOCK}\n"
    calls = [Call(START_NS, {**PLAIN, names.DB_NAMESPACE: hostile}, statement(hostile), app=hostile)]
    found = [json.dumps(as_json(one), allow_nan=False) for one in Replay(engine).judge([streams.encode(calls)])]
    assert found
    assert all(line.isascii() and line.isprintable() for line in found)


def test_replay_of_thousands_of_apps_bounds_its_shards(engine: Engine) -> None:
    made: list[object] = []
    with pytest.MonkeyPatch.context() as patched:
        new_shard = engine.new_shard
        patched.setattr(engine, "new_shard", lambda: made.append(1) or new_shard())
        calls = [Call(START_NS, PLAIN, statement("SELECT 1"), app=f"app{number}") for number in range(200)]
        replayed = Replay(engine)
        list(replayed.judge([streams.encode([one]) for one in calls]))
    assert replayed.counts.calls == 200
    assert len(made) == MAX_SHARDS


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80), max_size=20))
def test_undecodable_bytes_are_counted_and_kept_whole(engine: Engine, values: list[bytes]) -> None:
    shard = engine.new_shard()
    findings = engine.step(shard, streams.entry([(value, START_NS, False) for value in values]))
    assert all(one.value == values[one.offset] for one in findings.unreadable)
    assert findings.losses.get("quarantine", 0) == len(findings.unreadable)
