"""Values that the app writes: the first ones of a statement, and those that begin otherwise, are inspected."""

import pickle

import pytest

from backwatch.collector import names
from backwatch.collector.payload import written
from backwatch.collector.payload.written import FIRST_WRITES, INTERVAL, written_facts
from backwatch.collector.probes.families.redis.statements import written_values

VALUE = pickle.dumps({"a": 1})


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "_seen", {})


def reported(statement: str, value: object) -> str:
    return str(dict(written_facts(statement, [value])).get(names.PAYLOAD_WRITTEN, ""))


def test_first_writes_and_some_later_ones_are_inspected() -> None:
    found = [bool(reported("SET a:? ?", VALUE)) for _ in range(FIRST_WRITES + 4 * INTERVAL)]
    assert all(found[:FIRST_WRITES])
    assert sum(found[FIRST_WRITES:]) == 4


def test_value_that_begins_otherwise_is_inspected() -> None:
    for _ in range(FIRST_WRITES + 1):
        assert not reported("SET a:? ?", b'{"a": 1}')
    assert reported("SET a:? ?", VALUE) == "pickle"
    assert reported("SET b:? ?", VALUE) == "pickle"


def test_plain_values_report_nothing() -> None:
    assert [reported("SET a:? ?", value) for value in (7, None, "", b"12", "text")] == [""] * 5
    assert written_facts("SET a:? ?", []) == ()


def test_values_of_redis_commands_are_found() -> None:
    pipeline = (("MULTI",), ("SETEX", "a", 60, b"x"), ("HSET", "b", "f", b"y", "g", b"z"), ("GET", "c"), ("EXEC",))
    assert written_values(pipeline) == [b"x", b"y", b"z"]
    assert written_values((("MSET", "a", b"1", "b", b"2"),)) == [b"1", b"2"]
    assert written_values((("DEL", "a"),)) == []


def test_memory_for_statements_is_bounded() -> None:
    for number in range(3 * written.MAX_STATEMENTS):
        reported(f"SET k{number}:? ?", VALUE)
    assert len(written._seen) <= written.MAX_STATEMENTS  # pyright: ignore[reportPrivateUsage]
