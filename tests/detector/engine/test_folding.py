"""Folding: beyond a number of open alerts of a rule, keys share their scope's alert."""

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.engine import folding, open_findings
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.engine.log_entries import Decision, Loss, Tick
from backwatch.detector.engine.open_findings import OpenFindings
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine
from backwatch.detector.rules.fields import CALL_FIELDS, DOMAINS
from backwatch.detector.state import keys as spaces
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
SITE, RESOURCE, APP, ALL = folding.MAX_OPEN_CRITICAL
RULE = "statement-runs-program"


def programs(
    count: int,
    begin_ns: int = START_NS,
    *,
    host: str = "db.internal",
    app: str = "shop",
    first: int = 0,
    site: Callable[[int], str] = lambda _: "views.py:orders",
) -> list[Call]:
    """Return new statements, each with the sign of a program that the server runs."""
    sign = {names.QUERY_SIGNS: "program"}
    return [
        Call(
            begin_ns + i * SECOND // 1_000,
            {**SAFE, names.SERVER_ADDRESS: host},
            {**statement(f"COPY t{first + i} TO PROGRAM ?", site(i)), **sign},
            app,
        )
        for i in range(count)
    ]


def step(engine: Engine, shard: Shard, calls: Sequence[Call], per_record: int = 50) -> Findings:
    return engine.step(shard, streams.entry(streams.records(calls, per_record)))


def list_fired(findings: Findings, rule: str = RULE) -> list[Firings]:
    return [event for event in findings.events if isinstance(event, Firings) and event.rule.name == rule]


def ids(findings: Findings, rule: str = RULE) -> set[str]:
    return {event.alert_id for event in list_fired(findings, rule)}


def folds(findings: Findings, rule: str = RULE) -> list[Firings]:
    return [event for event in list_fired(findings, rule) if folding.FOLD_SCOPE in event.evidence]


def list_cleared(findings: Findings) -> set[str]:
    return {event.alert_id for event in findings.events if isinstance(event, ClearedAlert)}


@pytest.fixture
def tick(engine: Engine) -> Callable[[Shard, int], Findings]:
    return lambda shard, at_ns: engine.step(shard, Tick(at_ns))


def test_below_the_limit_each_statement_has_its_own_alert(engine: Engine) -> None:
    found = step(engine, engine.new_shard(), programs(SITE))
    assert len(ids(found)) == SITE
    assert folds(found) == []


def test_flood_of_statements_at_one_call_site_adds_one_alert(engine: Engine) -> None:
    found = step(engine, engine.new_shard(), programs(3_000))
    assert len(ids(found)) == SITE + 1
    assert sum(event.times.shape[0] for event in list_fired(found)) == 3_000
    fold = folds(found)[0]
    assert (fold.rule.level, fold.key.label) == ("critical", "many keys @ views.py:orders")
    newest = next(fold.iter_findings(newest=1)).evidence
    assert newest[folding.FOLD_SCOPE] == "call site"
    assert newest[folding.FOLD_KEYS] == pytest.approx(3_000 - SITE, rel=0.35)
    assert newest[names.QUERY_TEXT] == "COPY t2999 TO PROGRAM ?"


def test_flood_of_call_sites_folds_at_its_resource(engine: Engine) -> None:
    found = step(engine, engine.new_shard(), programs(3_000, site=lambda i: f"v{i}.py:f"))
    assert len(ids(found)) == RESOURCE + 1
    assert {event.evidence[folding.FOLD_SCOPE] for event in folds(found)} == {"resource"}


def test_statements_whose_call_site_is_unknown_fold_at_their_resource(engine: Engine) -> None:
    calls = programs(300)
    bare = [
        Call(one.end_ns, one.session, {k: v for k, v in one.facts.items() if not k.startswith("code.")})
        for one in calls
    ]
    assert len(ids(step(engine, engine.new_shard(), bare))) == RESOURCE + 1


def test_floods_of_resources_fold_per_app_and_floods_of_apps_per_shard(engine: Engine) -> None:
    many = [call for i in range(400) for call in programs(1, START_NS + i * SECOND // 100, host=f"h{i}")]
    found = step(engine, engine.new_shard(), many)
    assert len(ids(found)) == APP // folding.NEW_SHARE + 1
    many = [call for i in range(1_200) for call in programs(1, START_NS + i * SECOND // 100, app=f"app{i}")]
    found = step(engine, engine.new_shard(), many)
    assert len(ids(found)) == ALL // folding.NEW_SHARE + 1
    assert folds(found)[0].key.resource_id == ""


def test_rule_below_critical_folds_earlier(engine: Engine) -> None:
    plain = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
    many = [
        Call(START_NS + i * SECOND // 100, {**plain, names.SERVER_ADDRESS: f"h{i}"}, statement("SELECT ?"))
        for i in range(300)
    ]
    found = step(engine, engine.new_shard(), many)
    assert len(ids(found, "tls-stripped")) == folding.MAX_OPEN[folding.APPLICATION] // folding.NEW_SHARE + 1


def test_flood_of_new_resources_folds_no_alert_of_a_known_one(engine: Engine) -> None:
    shard = engine.new_shard()
    quiet = [Call(START_NS + i * 60 * SECOND, SAFE, statement("SELECT ?")) for i in range(180)]
    step(engine, shard, quiet)
    begin = START_NS + 3 * HOUR
    step(engine, shard, [c for i in range(600) for c in programs(1, begin + i * SECOND // 100, host=f"h{i}")])
    later = programs(3, begin + 10 * SECOND)
    found = step(engine, shard, later)
    assert len(ids(found)) == 3
    assert folds(found) == []


def test_flood_of_one_resource_folds_no_alert_of_another(engine: Engine) -> None:
    shard = engine.new_shard()
    step(engine, shard, programs(5_000, site=lambda i: f"v{i}.py:f"), per_record=500)
    found = step(engine, shard, programs(2, START_NS + 10 * SECOND, host="other.internal"))
    assert folds(found) == []


def test_fold_clears_by_time_and_single_alerts_return(engine: Engine, tick: Callable[[Shard, int], Findings]) -> None:
    shard = engine.new_shard()
    raised = ids(step(engine, shard, programs(100)))
    assert raised <= list_cleared(tick(shard, START_NS + 2 * DAY))
    again = step(engine, shard, programs(5, START_NS + 2 * DAY, first=500))
    assert len(ids(again)) == 5
    assert folds(again) == []


def test_new_statements_join_an_open_fold(engine: Engine, tick: Callable[[Shard, int], Findings]) -> None:
    shard = engine.new_shard()
    step(engine, shard, programs(100))
    step(engine, shard, programs(1, START_NS + DAY // 2, first=99_999))
    gone = list_cleared(tick(shard, START_NS + DAY + HOUR))
    found = step(engine, shard, programs(3, START_NS + DAY + HOUR, first=500))
    assert len(gone) >= SITE
    assert [event.evidence[folding.FOLD_SCOPE] for event in folds(found)] == ["call site"]
    assert len(ids(found)) == 1


def accept(engine: Engine, shard: Shard, alert_id: str, until_ns: int = 0) -> Findings:
    return engine.step(shard, Decision(1, "accept", alert_id, until_ns, RULE, "", {}, True))


def test_accepted_fold_is_silent_until_its_acceptance_ends(engine: Engine) -> None:
    shard = engine.new_shard()
    fold = folds(step(engine, shard, programs(100)))[0].alert_id
    assert list_cleared(accept(engine, shard, fold, START_NS + 100 * SECOND)) == {fold}
    assert ids(step(engine, shard, programs(50, START_NS + 10 * SECOND, first=500))) == set()
    assert ids(step(engine, shard, programs(50, START_NS + 200 * SECOND, first=600))) == {fold}


def test_accepted_statement_stays_silent_while_its_site_folds(engine: Engine) -> None:
    shard = engine.new_shard()
    found = step(engine, shard, programs(100))
    single = next(event for event in list_fired(found) if folding.FOLD_SCOPE not in event.evidence)
    accept(engine, shard, single.alert_id)
    text = single.key.label.split()[1].lower().removeprefix("t")
    assert ids(step(engine, shard, programs(1, START_NS + 10 * SECOND, first=int(text)))) == set()


def test_folding_does_not_depend_on_batches_or_restarts(engine: Engine) -> None:
    source = random.Random(5)
    calls = [
        call
        for i in range(900)
        for call in programs(
            1, START_NS + i * SECOND // 50, host=f"h{source.randrange(4)}", first=source.randrange(400),
            site=lambda _: f"v{source.randrange(6)}.py:f",
        )
    ]  # fmt: skip
    made = streams.records(calls, 1)

    def run(size: int, restart: bool) -> list[tuple[str, ...]]:
        shard, alerts = engine.new_shard(), list[tuple[str, ...]]()
        for at in range(0, len(made), size):
            found = engine.step(shard, streams.entry(made[at : at + size], at))
            alerts += [
                (one.rule.name, one.alert_id, str(one.time_ns), str(sorted(one.evidence.items())))
                for one in found.iter_findings()
            ]
            if restart:
                blobs, shard = [shard.snapshot()], engine.new_shard()
                shard.apply(blobs)
        return sorted(alerts)

    reference = run(len(made), False)
    assert any(folding.FOLD_SCOPE in one[3] for one in reference)
    assert run(97, False) == reference
    assert run(300, True) == reference


def test_losses_of_invented_apps_fold_into_one_alert(engine: Engine) -> None:
    shard, found = engine.new_shard(), set[str]()
    for i in range(1_000):
        found |= ids(engine.step(shard, Loss("dropped.queue", 1, START_NS + i, f"app{i}")), "telemetry-loss")
    assert len(found) == 256 + 1


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_findings, "MAX_OPEN_FINDINGS", 64)


@pytest.mark.usefixtures("small_table")
def test_crowded_table_folds_every_new_key(engine: Engine) -> None:
    shard = engine.new_shard()
    step(engine, shard, programs(60, site=lambda i: f"v{i}.py:f"))
    engine.step(shard, Tick(shard.scalars.watermark_ns + 300 * SECOND))
    again = engine.new_shard()
    again.apply([shard.snapshot()])
    found = step(engine, again, programs(40, START_NS + 400 * SECOND, host="h2", first=500))
    assert {event.evidence.get(folding.FOLD_SCOPE) for event in list_fired(found)} == {"all apps"}


@given(st.integers(0, 3_000))
@settings(max_examples=30, deadline=None)
def test_key_estimate_is_close_and_grows_only_with_new_keys(count: int) -> None:
    table = OpenFindings()
    keys = open_findings.keys_of(5, np.arange(1, count + 2, dtype=np.uint64))
    none = open_findings.NOT_UNDER
    first = table.note_fold(5, 77, bytes(32), 1, 0, none, keys)
    second = table.note_fold(5, 77, bytes(32), 2, 0, none, keys)
    assert (np.diff(first) >= 0).all()
    assert second.tolist() == [first[-1]] * (count + 1)
    assert first[-1] == pytest.approx(count + 1, rel=0.6, abs=2)


def test_resource_without_a_slot_is_not_in_the_inventory(engine: Engine) -> None:
    calls = [call for i in range(5_000) for call in programs(1, START_NS + i * SECOND // 1_000, host=f"h{i}")]
    found = step(engine, engine.new_shard(), calls, per_record=500)
    assert len(found.seen) == spaces.RESOURCE.capacity - 1


def test_rules_read_only_the_facts_of_their_domain(engine: Engine) -> None:
    """A flood of new statements is read once, for the statement fields of rules."""
    for domain in DOMAINS:
        asked = set(engine.rules._entry[domain]._field_tests)
        assert {CALL_FIELDS[name].domain for name in asked} <= {domain}
