"""Floods: strong signs stay visible, known values stay known, and losses are reported."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.engine import folding, open_findings
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.open_findings import OpenFindings
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine
from backwatch.detector.state import keys
from backwatch.detector.state import snapshot as state_snapshot
from backwatch.detector.state.key_space import Space
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
PLAIN = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
FOREIGN = {**SAFE, names.CERT_SHA256: "bb" * 32, names.CERT_ISSUER: "CN=Mallory"}
PLACELESS = (names.CODE_FILE, names.CODE_FUNCTION, names.CODE_LINE)


def bare(text: str, **more: str) -> dict[str, Any]:
    """Return a statement without a call site."""
    return {name: value for name, value in {**statement(text), **more}.items() if name not in PLACELESS}


def step(engine: Engine, shard: Shard, calls: Sequence[Call], per_record: int = 50) -> Findings:
    findings = engine.step(shard, streams.entry(streams.records(calls, per_record)))
    assert findings.faults == []
    return findings


def rules(findings: Findings) -> set[str]:
    return {event.rule.name for event in findings.events if isinstance(event, Firings)}


def tick(engine: Engine, shard: Shard, after_ns: int = 60 * SECOND) -> Findings:
    return engine.step(shard, Tick(shard.scalars.watermark_ns + after_ns))


def quiet_and_flood(engine: Engine, shard: Shard, count: int = 4_200) -> Findings:
    """Return 300 quiet calls, then many plain statements of distinct families within four seconds."""
    text = "SELECT id FROM orders WHERE id = ?"
    step(engine, shard, [Call(START_NS + i * 20 * SECOND, SAFE, bare(text)) for i in range(300)])
    begin = START_NS + 6_000 * SECOND + SECOND
    flood = [
        Call(begin + i * 4 * SECOND // count, SAFE, bare(f"SELECT x FROM t{i:05}{'abcdefgh'[i % 8]}"))
        for i in range(count)
    ]
    return step(engine, shard, flood)


def after_flood(text: str, *signs: str) -> Call:
    return Call(START_NS + 6_005 * SECOND, SAFE, bare(text, **{names.QUERY_SIGNS: ",".join(signs)}))


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (after_flood("COPY loot TO PROGRAM ?", "program"), "statement-runs-program"),
        (
            after_flood("SELECT id FROM u UNION SELECT a FROM b", "union-appended", "tautology", "comment-tail"),
            "query-attack",
        ),
        (after_flood("GRANT ALL ON loot TO mallory"), "privilege-escalation"),
    ],
)  # fmt: skip
def test_strong_signs_raise_alerts_without_room_for_their_call_site(engine: Engine, call: Call, rule: str) -> None:
    shard = engine.new_shard()
    assert rules(quiet_and_flood(engine, shard)) == set()
    assert rule in rules(step(engine, shard, [call]))


def test_call_sites_without_room_are_reported_as_a_loss(engine: Engine) -> None:
    shard = engine.new_shard()
    quiet_and_flood(engine, shard)
    reported = tick(engine, shard)
    assert reported.losses == {"overflow.site": 4_200 + 1 - keys.SITE.per_parent}
    assert "telemetry-loss" in rules(reported)


def test_known_call_sites_survive_a_flood_of_call_sites(engine: Engine) -> None:
    shard = engine.new_shard()
    quiet_and_flood(engine, shard)
    known = shard.spaces["site"].keys[1]
    later = [
        Call(START_NS + (6_100 + i) * SECOND, SAFE, bare(f"SELECT y FROM u{i:05}")) for i in range(2_000)
    ]  # fmt: skip
    step(engine, shard, later)
    assert known in shard.spaces["site"].keys


def with_database(calls: Sequence[Call]) -> list[Call]:
    """Return two days of a database, these calls, and the database with another certificate."""
    text = statement("SELECT id FROM orders WHERE id = ?")
    days = [Call(START_NS + i * 120 * SECOND, SAFE, text) for i in range(1_440)]
    last = calls[-1].end_ns if calls else days[-1].end_ns
    return [*days, *calls, *[Call(last + i * SECOND, FOREIGN, text) for i in range(1, 6)]]


def hosts(count: int, step_ns: int = SECOND, begin_ns: int = START_NS + 2 * DAY) -> list[Call]:
    """Return visits of hosts that a visitor of the app chooses."""
    return [
        Call(
            begin_ns + i * step_ns,
            {names.SERVER_ADDRESS: f"h{i}.example", names.SERVER_PORT: 443},
            {names.HTTP_METHOD: "GET", names.URL_FULL: f"https://h{i}.example/"},
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [0, 3_800])
def test_hosts_chosen_by_visitors_do_not_evict_a_quiet_resource(engine: Engine, count: int) -> None:
    shard = engine.new_shard()
    findings = step(engine, shard, with_database(hosts(count)))
    assert "certificate-changed" in rules(findings)
    assert findings.losses == {}


def space(capacity: int = 100) -> Space:
    return Space(keys.KeySpace(name="resource", columns=(), capacity=capacity), [])


def see(one: Space, addresses: Sequence[int], at_ns: int, now_ns: int = 0) -> None:
    count = len(addresses)
    one.intern(np.array(addresses, np.uint64), np.empty(0, np.int32), np.full(count, at_ns, np.int64), now_ns)


@given(st.permutations(range(1, 41)))
@settings(max_examples=20, deadline=None)
def test_longer_known_key_keeps_its_slot_in_any_order(order: list[int]) -> None:
    one = space()
    see(one, order, START_NS)
    see(one, order, START_NS + DAY)
    see(one, range(1_001, 1_060), START_NS + DAY + HOUR)
    stale = one.find_stale(START_NS + DAY + HOUR)
    assert set(one.keys[stale].tolist()) <= set(range(1_001, 1_060))
    assert one.count_settled(stale, START_NS + DAY + HOUR) == 0


def test_key_unused_for_a_month_is_evicted_first() -> None:
    one = space()
    see(one, range(1, 21), START_NS)
    see(one, range(1, 21), START_NS + DAY)
    see(one, range(1_001, 1_080), START_NS + 40 * DAY)
    stale = one.find_stale(START_NS + 40 * DAY)
    assert set(range(1, 21)) <= set(one.keys[stale].tolist())
    assert one.count_settled(stale, START_NS + 40 * DAY) == 0


def test_backdated_first_call_makes_no_old_key() -> None:
    one = space()
    see(one, [1], SECOND, START_NS)
    see(one, [1], START_NS, START_NS)
    assert one.count_settled(np.array([1], np.int32), START_NS) == 0


@pytest.fixture
def few_resources() -> Iterator[None]:
    before = keys.RESOURCE.capacity
    object.__setattr__(keys.RESOURCE, "capacity", 40)
    yield
    object.__setattr__(keys.RESOURCE, "capacity", before)


@pytest.mark.usefixtures("few_resources")
def test_eviction_of_long_known_resources_is_reported_as_a_loss(engine: Engine) -> None:
    shard = engine.new_shard()
    twice = [*hosts(36), *hosts(36, begin_ns=START_NS + 2 * DAY + 2 * HOUR)]
    others = hosts(39, SECOND // 100, START_NS + 3 * DAY)[36:]
    step(engine, shard, [*twice, *others], 1)
    reported = step(engine, shard, hosts(2, 20 * SECOND, START_NS + 3 * DAY + HOUR), 1)
    assert reported.losses == {"evicted.resource": 6}
    assert "telemetry-loss" in rules(reported)


@pytest.mark.usefixtures("few_resources")
def test_unreported_losses_survive_a_restart(engine: Engine) -> None:
    shard = engine.new_shard()
    step(engine, shard, hosts(60, SECOND // 100))
    again = engine.new_shard()
    again.apply([shard.delta()])
    assert tick(engine, again).losses == {"overflow.resource": 60 - 39}


def test_keys_of_an_older_release_count_as_long_known(engine: Engine) -> None:
    shard = engine.new_shard()
    step(engine, shard, hosts(3))
    sections, scalars = state_snapshot.unpack(shard.snapshot())
    del scalars["untold"]
    older = [
        state_snapshot.Section(name=one.name, rows=one.rows[["key", "parent", "last_seen"]].astype(
            [("key", "<u8"), ("parent", "<i4"), ("last_seen", "<i8")]), at=one.at)
        if one.name.startswith("space/") else one
        for one in sections
    ]  # fmt: skip
    again = engine.new_shard()
    again.apply([state_snapshot.pack(older, scalars)])
    kept = again.spaces["resource"]
    assert kept.keys.tolist() == shard.spaces["resource"].keys.tolist()
    assert kept.count_settled(np.array([1, 2, 3], np.int32), again.scalars.watermark_ns) == 3


def statements(count: int, begin_ns: int) -> list[Call]:
    """Return new statements, each with a sign that raises its own alert."""
    more = {names.QUERY_SIGNS: "program"}
    return [
        Call(begin_ns + i * SECOND // 100, SAFE, {**statement(f"COPY t{i} TO PROGRAM ?"), **more}) for i in range(count)
    ]  # fmt: skip


def list_cleared(findings: Findings) -> list[str]:
    return [event.alert_id for event in findings.events if isinstance(event, ClearedAlert)]


@pytest.fixture
def few_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink the table of open findings so that a short flood fills it without folding."""
    monkeypatch.setattr(open_findings, "MAX_OPEN_FINDINGS", 64)
    monkeypatch.setattr(open_findings, "CROWDED_SHARE", 2)
    monkeypatch.setattr(folding, "MAX_OPEN", (1_000,) * 4)
    monkeypatch.setattr(folding, "MAX_OPEN_CRITICAL", (1_000,) * 4)


@pytest.mark.usefixtures("few_open")
@pytest.mark.parametrize("restart", [False, True])
def test_flood_of_statement_findings_does_not_block_other_clears(engine: Engine, restart: bool) -> None:
    shard = engine.new_shard()
    step(engine, shard, statements(100, START_NS))
    if restart:
        blobs = [shard.snapshot()]
        shard = engine.new_shard()
        shard.apply(blobs)
    stripped = step(engine, shard, [Call(START_NS + 60 * SECOND, PLAIN, statement("SELECT ?"))])
    alert = next(one.alert_id for one in stripped.iter_findings() if one.rule.name == "tls-stripped")
    honest = [Call(START_NS + 120 * SECOND + i * HOUR, SAFE, statement("SELECT ?")) for i in range(72)]
    assert alert in list_cleared(step(engine, shard, honest, 1))


@pytest.mark.usefixtures("few_open")
def test_findings_that_cannot_clear_are_reported_as_a_loss(engine: Engine) -> None:
    shard = engine.new_shard()
    raised = step(engine, shard, statements(100, START_NS))
    reported = tick(engine, shard)
    many = len({event.alert_id for event in raised.events if isinstance(event, Firings)})
    assert raised.losses.get("uncleared", 0) + reported.losses["uncleared"] == many - 64
    assert "telemetry-loss" in rules(reported)


def test_only_statement_findings_clear_by_time(engine: Engine) -> None:
    shard = engine.new_shard()
    raised = step(engine, shard, [*statements(1, START_NS), Call(START_NS + SECOND, PLAIN, statement("SELECT ?"))])
    alerts = {one.rule.name: one.alert_id for one in raised.iter_findings()}
    found = engine.step(shard, Tick(START_NS + 3 * DAY))
    assert alerts["tls-stripped"] not in list_cleared(found)
    assert [(one.alert_id, one.time_ns) for one in found.events if isinstance(one, ClearedAlert)] == [
        (alerts["statement-runs-program"], START_NS + DAY)
    ]


def test_statement_that_keeps_firing_does_not_clear(engine: Engine) -> None:
    shard = engine.new_shard()
    again = [one for day in range(4) for one in statements(1, START_NS + day * DAY // 2)]
    assert list_cleared(step(engine, shard, again, 1)) == []


@pytest.mark.usefixtures("few_open")
@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 50), st.booleans()), max_size=200))
@settings(max_examples=50, deadline=None)
def test_full_table_finds_its_rows_after_any_eviction(firings: list[tuple[int, int, bool]]) -> None:
    lost: list[int] = []
    table = OpenFindings(frozenset((7,)), lambda: lost.append(1))
    again = OpenFindings(frozenset((7,)), lambda: None)
    for address, time, about_statement in firings:
        table.note_firing(7 if about_statement else 8, address, bytes([about_statement]) + address.to_bytes(31), time)
        used = table.find_open_rows()
        assert used.shape[0] <= 64
        again = OpenFindings(frozenset((7,)), lambda: None)
        again.take(used, table.rows(used))
        again.restore()
    addresses = np.arange(1, 401, dtype=np.uint64)
    for one in (table, again):
        for rule in (7, 8):
            one.note_not_fired(rule, addresses, np.full(400, 60, np.int64), np.zeros(400, np.bool_))
    found = [list(one.due(0, 10**9, 1, {})) for one in (table, again)]
    assert found[0] == found[1]
    assert len(found[0]) + len(lost) >= len({(address, about) for address, _, about in firings})


def slow(count: int, by_ns: int, step_ns: int = SECOND, app: str = "slow") -> list[tuple[bytes, int, bool]]:
    """Return records of an app with a slow clock, as they reach the stream."""
    calls = [Call(START_NS + i * step_ns - by_ns, SAFE, statement("SELECT ?"), app) for i in range(count)]
    return [(streams.encode([call], i), call.end_ns + by_ns + SECOND // 10, False) for i, call in enumerate(calls)]


def late_alerts(engine: Engine, made: list[tuple[bytes, int, bool]]) -> list[tuple[str, int]]:
    """Return (app, count) of each alert on late calls."""
    shard = engine.new_shard()
    made = sorted(made, key=lambda one: one[1])
    found = [engine.step(shard, streams.entry(made)), tick(engine, shard, 900 * SECOND)]
    return [
        (one.key.app, one.evidence["backwatch.loss.count"])
        for findings in found for one in findings.iter_findings() if one.rule.name == "telemetry-loss"
    ]  # fmt: skip


def test_app_with_only_late_calls_is_reported_as_a_loss(engine: Engine) -> None:
    assert late_alerts(engine, slow(100, 400 * SECOND)) == [("slow", 100)]


def test_rare_late_app_is_reported_after_enough_calls(engine: Engine) -> None:
    reported = late_alerts(engine, slow(100, 400 * SECOND, 120 * SECOND))
    assert sum(count for _, count in reported) >= 80
    assert {app for app, _ in reported} == {"slow"}


def test_few_late_calls_are_no_loss(engine: Engine) -> None:
    assert late_alerts(engine, [*slow(40, 400 * SECOND, app="shop"), *slow(200, SECOND, app="shop")]) == []
    assert late_alerts(engine, slow(5, 400 * SECOND)) == []
