"""An injection campaign is one alert of its call site, which becomes critical when rows leave."""

import random
from collections.abc import Iterator

import pytest

from backwatch.collector import names
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Finding, Firings
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.runtime.pending import PendingCommit
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, START_NS, Call, Facts, statement

BOOK = "SELECT id, title FROM books WHERE id = ?"
REFUSED: Facts = {names.ERROR_TYPE: "psycopg.errors.SyntaxError", names.STATUS_CODE: "42601"}
PROBES: list[tuple[str, int, Facts]] = [
    (f"{BOOK} ? ( . , )", 0, REFUSED),
    (f"{BOOK} AND ? = ?", 1, {}),
    (f"{BOOK} AND ? = ? -- ?", 0, {}),
    (f"{BOOK} ORDER BY ? -- ?", 0, REFUSED),
    (f"{BOOK} UNION ALL SELECT NULL, NULL -- ?", 1, {}),
]
DUMP = f"{BOOK} UNION ALL SELECT login, password FROM accounts"


def _at(at_s: int, text: str, rows: int, more: Facts) -> Call:
    return Call(START_NS + at_s * SECOND, SAFE, {**statement(text, "views.py:book", rows), **more})


def _honest(count: int = 400) -> Iterator[Call]:
    source = random.Random(5)
    for at in range(count):
        yield _at(at * 30, BOOK, source.randrange(2), {})


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(EngineConfig(key=b"a key of 16 byte", clear_after_ns=3_600 * 10**9))


def _judge(engine: Engine, calls: list[Call], size: int = 1_000) -> list[Finding]:
    shard, found = engine.new_shard(), list[Finding]()
    records = streams.records(calls)
    for at in range(0, len(records), size):
        findings = engine.step(shard, streams.entry(records[at : at + size], at))
        found += [one for event in findings.events if isinstance(event, Firings) for one in event.iter_findings()]
    return found


def _attacked(*more: tuple[str, int, Facts]) -> list[Call]:
    honest = list(_honest())
    return [*honest, *(_at(12_100 + 5 * at, *probe) for at, probe in enumerate((*PROBES, *more)))]


def test_a_campaign_is_one_alert(engine: Engine) -> None:
    found = _judge(engine, _attacked((DUMP, 40, {}), (DUMP, 40, {})))
    assert {one.rule.name for one in found} == {"query-attack"}
    assert len({one.alert_id for one in found}) == 1


def test_stages_follow_the_answers(engine: Engine) -> None:
    found = _judge(engine, _attacked((DUMP, 40, {})))
    stages = [one.evidence["backwatch.campaign.stage"] for one in found]
    assert stages == sorted(stages, key=["probed", "injectable", "read out"].index)
    assert (stages[0], stages[-1]) == ("probed", "read out")
    assert [one.level for one in found] == ["high"] * (len(found) - 1) + ["critical"]
    last = found[-1].evidence
    assert last["backwatch.campaign.rows"] == 40
    assert last["backwatch.campaign.tables"] == 1
    assert last["backwatch.campaign.seconds_to_first_row"] == last["backwatch.campaign.seconds"] > 0


def test_probing_without_rows_of_other_tables_stays_below_critical(engine: Engine) -> None:
    assert {one.level for one in _judge(engine, _attacked())} == {"high"}


def test_data_read_bit_by_bit_is_read_out(engine: Engine) -> None:
    bit = f"{BOOK} AND ascii(substr((SELECT password FROM accounts LIMIT ?), ?, ?)) > ?"
    found = _judge(engine, _attacked(*[(bit, at % 2, {}) for at in range(60)]))
    assert found[-1].level == "critical"
    assert found[30].level == "high"


@pytest.mark.parametrize(
    ("text", "rows", "count"),
    [(DUMP, 9, 1), (f"{BOOK} AND (SELECT ascii(substr(password, ?, ?)) FROM accounts WHERE id = ?) > ?", 0, 55)],
)
def test_input_that_reads_a_table_is_critical_without_a_past(engine: Engine, text: str, rows: int, count: int) -> None:
    signs = {names.QUERY_SIGNS: "request-input"}
    found = _judge(engine, [_at(2 * at, text, rows, signs) for at in range(count)])
    assert {one.rule.name for one in found} == {"query-attack"}
    assert (len({one.alert_id for one in found}), found[0].time_ns, found[-1].level) == (1, START_NS, "critical")


def test_a_refused_dump_reads_nothing(engine: Engine) -> None:
    assert "critical" not in {one.level for one in _judge(engine, _attacked((DUMP, 0, REFUSED)))}


def test_new_statements_during_a_campaign_are_not_learned(engine: Engine) -> None:
    filtered = f"{BOOK} AND year = ?"
    calls = [*_attacked(), *(_at(12_200 + at, filtered, 1, {}) for at in range(200))]
    late = [_at(12_200 + 200, filtered, 1, {})]
    assert any(one.time_ns == late[0].end_ns for one in _judge(engine, [*calls, *late]))


def test_campaign_facts_do_not_depend_on_batches(engine: Engine) -> None:
    calls = _attacked((DUMP, 40, {}), (DUMP, 20, {}))
    whole, single = _judge(engine, calls), _judge(engine, calls, 1)
    assert [(one.level, one.evidence) for one in whole] == [(one.level, one.evidence) for one in single]


def test_a_commit_carries_the_escalation_and_its_time(engine: Engine) -> None:
    calls = _attacked((DUMP, 40, {}), (DUMP, 40, {}))
    shard, pending = engine.new_shard(), PendingCommit(0)
    fired = pending.add(engine.step(shard, streams.entry(streams.records(calls), 0)))
    [alert] = pending.rounds()[0].raised
    assert (alert.level, alert.escalated_to, alert.escalated_ns) == ("high", "critical", calls[-2].end_ns)
    assert fired == {alert.alert_id, f"{alert.alert_id}@critical"}


def test_evidence_marks_the_difference_and_names_the_change(engine: Engine) -> None:
    evidence = _judge(engine, _attacked((DUMP, 40, {})))[-1].evidence
    shown = evidence["backwatch.query.difference"]
    assert shown == "SELECT ID, TITLE FROM BOOKS WHERE ID = ? «UNION ALL SELECT LOGIN, PASSWORD FROM ACCOUNTS»"
    assert "set operation added" in evidence["backwatch.query.change"]


def test_statement_and_the_call_that_fetches_its_rows_count_once(engine: Engine) -> None:
    probe, later = f"{BOOK} OR id IS NOT NULL", f"{BOOK} OR title IS NOT NULL"
    fetch: Facts = {names.OPERATION: "FETCH"}
    alone = [*_honest(), _at(12_100, probe, 1, {}), _at(12_110, later, 1, {})]
    fetched = [*alone[:-1], _at(12_101, probe, 1, fetch), alone[-1]]
    injections = [[one.evidence["backwatch.query.injection"] for one in _judge(engine, it)] for it in (alone, fetched)]
    assert injections[1] == [injections[0][0], injections[0][0], injections[0][1]]
