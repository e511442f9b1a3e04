"""Correlations: counting, firing and clearing, independent of batches and restarts."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Finding, Findings
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rules import correlation_state, rulebook
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.engine.test_engine_streams import Value, run, to_texts
from tests.detector.rules.rule_texts import correlation, rule, sigma_filter, text
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

HOUR = 3_600 * SECOND
REPORTING = {**SAFE, names.ACCOUNT: "reporting"}
CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=HOUR)
WRITES = rule("writes", {"s": {names.OPERATION: "UPDATE"}, "condition": "s"})


def engine(folder: Path, *documents: dict[str, Any]) -> Engine:
    (folder / "own.yml").write_text(text(*documents))
    loaded = rulebook.read(str(folder))
    assert [str(one) for one in loaded.faults] == []
    return make_engine(CONFIG, str(folder))


def call(at_s: float, session: Any = REPORTING, **facts: Any) -> Call:
    app = facts.pop("app", "shop")
    return Call(START_NS + int(at_s * SECOND), session, {**statement("SELECT ?"), **facts}, app)


def findings(one: Engine, calls: Sequence[Call], names_of: Sequence[str] = ("together",)) -> list[Finding]:
    made = one.step(one.new_shard(), streams.entry(streams.records(calls)))
    return [found for found in made.iter_findings() if found.rule.name in names_of]


def list_fired(one: Engine, calls: Sequence[Call], name: str = "together") -> list[float]:
    """Return the seconds at which the rule was raised."""
    return [(found.time_ns - START_NS) / SECOND for found in findings(one, calls, [name])]


def test_event_count_fires_while_the_count_reaches_its_threshold(tmp_path: Path) -> None:
    one = engine(tmp_path, rule(), correlation())
    assert list_fired(one, [call(at) for at in (0, 30, 61, 90, 95, 300, 330, 360, 421)]) == [90, 95, 360]


def test_value_sum_adds_a_field_over_the_timespan(tmp_path: Path) -> None:
    one = engine(
        tmp_path, rule(), correlation(kind="value_sum", condition={"gt": 100, "field": names.ROWS_AFFECTED})
    )  # fmt: skip
    calls = [call(at, **{names.ROWS_AFFECTED: rows}) for at, rows in ((0, 60), (10, 40), (20, 1), (200, 99), (210, 2))]
    assert list_fired(one, [*calls, call(211)]) == [20, 210]
    (first, *_) = findings(one, calls)
    assert first.evidence["backwatch.correlation.sum"] == 101


def test_temporal_fires_once_all_its_rules_fired_within_the_timespan(tmp_path: Path) -> None:
    one = engine(tmp_path, rule(), WRITES, correlation(("own-rule", "writes"), "temporal", condition={"gte": 2}))
    read, wrote = {}, {names.OPERATION: "UPDATE"}
    other = {**SAFE, names.ACCOUNT: "reporting", names.SERVER_ADDRESS: "other"}
    calls = [call(0, **read), call(61, **read), call(100, SAFE, **wrote), call(110, other, **wrote), call(300, **wrote)]
    assert list_fired(one, calls) == [110, 300]


def test_temporal_needs_all_rules_unless_gte_asks_for_fewer(tmp_path: Path) -> None:
    third = rule("third", {"s": {names.OPERATION: "DROP"}, "condition": "s"})
    both = correlation(("own-rule", "writes", "third"), "temporal")
    del both["correlation"]["condition"]
    calls = [call(0), call(1, **{names.OPERATION: "UPDATE"}), call(2, **{names.OPERATION: "DROP"})]
    assert list_fired(engine(tmp_path, rule(), WRITES, third, both), calls) == [2]
    two = correlation(("own-rule", "writes", "third"), "temporal", condition={"gte": 2})
    assert list_fired(engine(tmp_path, rule(), WRITES, third, two), calls) == [1, 2]


def test_firings_are_counted_per_app_and_group(tmp_path: Path) -> None:
    any_account = rule("own-rule", {"s": {f"{names.DB_SYSTEM}|exists": True}, "condition": "s"})
    anonymous = {key: value for key, value in SAFE.items() if key != names.ACCOUNT}
    one = engine(tmp_path, any_account, correlation())
    other = {**SAFE, names.ACCOUNT: "other"}
    calls = [call(0), call(1, other), call(2), call(3, other), call(4, app="billing"), call(5, anonymous),
             call(6, anonymous), call(7, anonymous), call(8, other)]  # fmt: skip
    assert list_fired(one, calls) == [7, 8]


def test_group_may_be_a_number_or_a_statement(tmp_path: Path) -> None:
    one = engine(tmp_path, rule(), correlation(group_by=[names.QUERY_TEXT, names.SERVER_PORT]))
    text_of = [f"SELECT a FROM t{n % 2} WHERE b = {n}" for n in range(6)]
    calls = [call(n, **{names.QUERY_TEXT: text_of[n]}) for n in range(6)]
    assert list_fired(one, calls) == [4, 5]


def test_alias_names_another_field_for_each_rule(tmp_path: Path) -> None:
    one = correlation(
        ("own-rule", "writes"), "temporal", condition={"gte": 2}, group_by=["where"],
        aliases={"where": {"own-rule": names.DB_NAMESPACE, "writes": names.SERVER_ADDRESS}},
    )  # fmt: skip
    both = engine(tmp_path, rule(), WRITES, one)
    wrote = {names.OPERATION: "UPDATE"}
    calls = [call(0), call(1, {**SAFE, names.SERVER_ADDRESS: "elsewhere"}, **wrote),
             call(2, {**SAFE, names.SERVER_ADDRESS: "shop"}, **wrote)]  # fmt: skip
    assert list_fired(both, calls) == [2]


def test_counted_user_rules_raise_nothing_without_generate(tmp_path: Path) -> None:
    calls = [call(at) for at in range(4)]
    assert list_fired(engine(tmp_path, rule(), correlation()), calls, "own-rule") == []
    assert list_fired(engine(tmp_path, rule(), correlation(generate=True)), calls, "own-rule") == [0, 1, 2, 3]


def test_counted_shipped_rules_still_raise_their_own_alerts(tmp_path: Path) -> None:
    plain = {**REPORTING, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none", names.TLS_REQUESTED: "disable"}
    one = engine(tmp_path, correlation(("plaintext-session",)))
    calls = [call(at, plain) for at in range(3)]
    assert (list_fired(one, calls, "plaintext-session"), list_fired(one, calls)) == ([0, 1, 2], [2])


def test_filter_on_a_counted_rule_leaves_its_calls_uncounted(tmp_path: Path) -> None:
    one = engine(tmp_path, rule(), correlation(), sigma_filter())
    in_test = {**REPORTING, names.DB_NAMESPACE: "test"}
    assert list_fired(one, [call(0), call(1, in_test), call(2), call(3)]) == [3]


def test_late_calls_do_not_count(tmp_path: Path) -> None:
    one = engine(tmp_path, rule(), correlation())
    calls = [call(0), call(1), call(3_600, SAFE), call(2), call(3)]
    appended = [START_NS + at * SECOND for at in (5, 6, 3_600, 3_601, 3_602)]
    values = [
        (streams.encode([each], at), when, False) for at, (each, when) in enumerate(zip(calls, appended, strict=True))
    ]
    found = one.step(one.new_shard(), streams.entry(values))
    assert found.late == 2
    assert [each.rule.name for each in found.iter_findings() if each.rule.name == "together"] == []


def test_correlation_evidence_has_count_timespan_groups_and_the_last_facts(tmp_path: Path) -> None:
    (found,) = findings(engine(tmp_path, rule(), correlation()), [call(at) for at in range(3)])
    evidence = found.evidence
    assert {key: value for key, value in evidence.items() if key.startswith("backwatch.correlation.")} == {
        "backwatch.correlation.count": 3, "backwatch.correlation.timespan_s": 60,
        "backwatch.correlation.group_by": names.ACCOUNT,
    }  # fmt: skip
    assert (evidence[names.ACCOUNT], evidence[names.QUERY_TEXT]) == ("reporting", "SELECT ?")
    assert found.span_id


def test_correlation_clears_after_quiet_time_and_a_call_of_its_key(tmp_path: Path) -> None:
    one = engine(tmp_path, rule(), correlation())
    shard = one.new_shard()
    opened = one.step(shard, streams.entry(streams.records([call(at) for at in range(3)])))
    (alert,) = {found.alert_id for found in opened.iter_findings() if found.rule.name == "together"}
    one.step(shard, streams.entry(streams.records([call(1_800, SAFE)])))
    cleared = one.step(shard, Tick(START_NS + 2 * HOUR))
    assert [event.alert_id for event in cleared.events if isinstance(event, ClearedAlert)] == [alert]


def test_rule_clears_after_its_own_time(tmp_path: Path) -> None:
    cleared: list[list[int]] = []
    for own in ({"clear_after_s": 600}, {}):
        one = engine(tmp_path, rule(), correlation(backwatch={"key": "resource", **own}))
        shard = one.new_shard()
        one.step(shard, streams.entry(streams.records([*(call(at) for at in range(3)), call(300, SAFE)])))
        events = one.step(shard, Tick(START_NS + 700 * SECOND)).events
        cleared.append([event.time_ns - START_NS for event in events if isinstance(event, ClearedAlert)])
    assert cleared == [[602 * SECOND], []]


def test_groups_evicted_by_a_flood_are_a_loss(tmp_path: Path) -> None:
    selects = rule("own-rule", {"s": {names.OPERATION: "SELECT"}, "condition": "s"})
    one = engine(tmp_path, selects, correlation(timespan="1h"))
    shard, kinds = one.new_shard(), set[str]()
    read = {names.OPERATION: "SELECT"}
    for half in range(4):
        others = [call(half * 1_800 + n / 1_000, {**SAFE, names.ACCOUNT: f"{half}-{n}"}, app="noisy", **read)
                  for n in range(correlation_state.MAX_GROUPS - 500)]  # fmt: skip
        made = streams.records([*others, call(half * 1_800 + 100, **read)], 100)
        found = one.step(shard, streams.entry(made))
        kinds |= {
            each.evidence["backwatch.loss.kind"] for each in found.iter_findings() if each.rule.name == "telemetry-loss"
        }
    assert kinds == {correlation_state.LOST}


def test_flood_of_groups_stays_within_memory_and_is_counted(tmp_path: Path) -> None:
    one = engine(tmp_path, rule("own-rule", {"s": {names.OPERATION: "SELECT"}, "condition": "s"}), correlation())
    shard = one.new_shard()
    (table,) = one._call_verdicts.correlating.tables
    assert table.keys.capacity * table.dtype.itemsize <= correlation_state.BYTES
    losses, raised = 0, list[Finding]()
    for minute in range(3):
        calls = [
            call(minute * 600 + n / 1_000, {**SAFE, names.ACCOUNT: f"{minute}-{n}"}, **{names.OPERATION: "SELECT"})
            for n in range(correlation_state.MAX_GROUPS + 500)
        ]
        made = one.step(shard, streams.entry(streams.records([*calls, call(minute * 600 + 60)], 100)))
        losses += made.losses.get(correlation_state.LOST, 0)
        raised += [each for each in made.iter_findings() if each.rule.name == "telemetry-loss"]
    space = shard.spaces[table.keys.name]
    assert space.tables[table.name].nbytes <= correlation_state.BYTES
    assert space.used <= correlation_state.MAX_GROUPS
    assert losses >= 500
    assert sum(each.evidence["backwatch.loss.count"] for each in raised) == losses
    regular = [call(9_000 + at, **{names.OPERATION: "SELECT"}) for at in range(3)]
    found = one.step(shard, streams.entry(streams.records(regular)))
    assert [each.rule.name for each in found.iter_findings()].count("together") == 1


def stream(seed: int, count: int) -> list[Value]:
    """Draw calls of few accounts and operations, at jumping times, some of them late."""
    source = random.Random(seed)
    now, made = START_NS, list[Value]()
    for at in range(count):
        now += source.choice([0, SECOND // 3, SECOND, 7 * SECOND, 25 * SECOND, 70 * SECOND, -5 * SECOND])
        calls = [
            Call(
                now - source.choice([0, 0, 3 * SECOND, 100 * SECOND, 400 * SECOND]),
                {**SAFE, names.ACCOUNT: source.choice(["reporting", "a", "b"])},
                {**statement("SELECT ?"), names.OPERATION: source.choice(["UPDATE", "SELECT"]),
                 names.ROWS_AFFECTED: source.randrange(50)},
                app=source.choice(["shop", "billing"]),
            )
            for _ in range(source.randrange(1, 4))
        ]  # fmt: skip
        made.append((streams.encode(calls, at), now, source.random() < 0.2))
    return made


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return one correlation of each kind, and one of two fields."""
    selects = rule("selects", {"s": {names.OPERATION: "SELECT"}, "condition": "s"}, key="statement")
    kinds = [
        correlation(("own-rule", "writes")),
        correlation(("writes",), "value_sum", condition={"gte": 60, "field": names.ROWS_AFFECTED}),
        correlation(("writes", "selects"), "temporal", condition={"gte": 2}, timespan="5s"),
        correlation(("selects",), group_by=[names.ACCOUNT, names.ROWS_AFFECTED], condition={"gte": 2}, timespan="1h"),
        correlation(("writes",), group_by=[], condition={"gte": 40}, timespan="1d", generate=True),
    ]
    named = [{**one, "name": f"together-{at}"} for at, one in enumerate(kinds)]
    return engine(tmp_path_factory.mktemp("rules"), rule(), WRITES, selects, *named)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5), restart=st.booleans())
def test_findings_do_not_depend_on_cuts_or_restarts(many: Engine, seed: int, cuts: list[int], restart: bool) -> None:
    values = stream(seed, 80)
    assert run(many, values, [1]) == run(many, values, cuts, restart=restart)


def test_batches_of_1_7_and_1000_give_equal_findings_of_every_kind(many: Engine) -> None:
    values = stream(7, 1_000)
    first, *others = [run(many, values, [size]) for size in (1, 7, 1_000)]
    assert all(one == first for one in others)
    assert {one[0] for one in first} >= {f"together-{at}" for at in range(5)} | {"writes"}


def test_snapshot_with_deltas_continues_counting(many: Engine) -> None:
    values = stream(3, 300)

    def rest(shard: Any, at: int) -> list[tuple[str, ...]]:
        made: Findings = many.step(shard, streams.entry(values[at:], at))
        return sorted(to_texts(made))

    shard = many.new_shard()
    many.step(shard, streams.entry(values[:100]))
    blobs = [shard.snapshot()]
    shard.delta()
    for low, high in ((100, 150), (150, 151)):
        many.step(shard, streams.entry(values[low:high], low))
        blobs.append(shard.delta())
    again = many.new_shard()
    again.apply(blobs)
    assert again.snapshot() == shard.snapshot()
    assert rest(again, 151) == rest(shard, 151)


def test_changed_correlation_restarts_despite_kept_state(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = engine(tmp_path / "a", rule(), correlation())
    shard = before.new_shard()
    before.step(shard, streams.entry(streams.records([call(0), call(1)])))
    after = engine(tmp_path / "b", rule(), correlation(condition={"gte": 900}))
    again = after.new_shard()
    again.apply([shard.snapshot()])
    assert [one.rule.name for one in after.step(again, streams.entry(streams.records([call(2)]))).iter_findings()] == []
