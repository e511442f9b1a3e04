"""Reading of values: bounded in time and number, of exact built-in types alone, never of the app's own objects."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.exposure import observation, sampling
from backwatch.collector.exposure.cells import MAX_CELLS, cells_of, cells_of_body
from backwatch.collector.exposure.mode import set_mode
from backwatch.collector.exposure.observation import received_value_facts, sent_value_facts
from backwatch.collector.exposure.rows import parameter_facts, reads_rows, row_facts
from backwatch.collector.exposure.sampling import Sampler
from backwatch.collector.exposure.tally import Tally
from backwatch.collector.exposure.values import find_matches
from tests.services.cpu_time import least_cpu_s

CARD = "4111 1111 1111 1111"
MAX_VALUE_S = 0.02
"""Seconds of CPU that the worst single value may take on a slow machine."""
HOSTILE = [
    "@" * 100_000, "a@" * 50_000, "a.b@c." * 20_000, "a@" + "b." * 50_000, "a@" + "b-" * 50_000, "eyJ" * 50_000,
    "eyJ" + "a" * 30 + "." + "eyJ" * 30_000, "xox" * 50_000, "xoxb-" + "a-" * 50_000, "+" + "1 " * 50_000,
    "4111 " * 50_000, "DE89 " * 50_000, "github_pat_" * 20_000, "-----BEGIN " * 10_000,
    "\\" * 100_000, "\u0663" * 5_000,
    "9" * 100_000, "A" * 100_000,
    '{"a":"' * 20_000, '{"' + "\\" * 50_000, "[" * 100_000, '","' * 30_000, "a=b&" * 30_000,
    "²" * 16, "4111" + "\u0661" * 12, "\ud800" * 1_000, "\0" * 10_000,
]  # fmt: skip


class Hostile:
    """An object of the app's whose methods must not run."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Hostile
        raise AssertionError(name)

    def __str__(self) -> str:
        raise AssertionError

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError


class Text(str):
    """A text with methods of its own."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> str:
        raise AssertionError

    def strip(self, chars: str | None = None) -> str:
        raise AssertionError


@pytest.fixture(autouse=True)
def values() -> Iterator[None]:
    observation.forget()
    set_mode("values")
    yield
    observation.forget()
    set_mode("columns")


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_value_takes_linear_time(value: str) -> None:
    def read() -> None:
        list(cells_of_body(value))
        for _, found in cells_of(value):
            Tally().add_value("a", found)

    assert least_cpu_s(read) < MAX_VALUE_S


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1"))))
def test_no_text_makes_it_raise(text: str) -> None:
    find_matches(text)
    list(cells_of(text))
    list(cells_of_body(text))


def test_objects_of_the_app_are_not_touched() -> None:
    strange = Hostile()
    parameter_facts("INSERT INTO t VALUES (?)", (strange, Text(CARD), True, 1.5, None))
    parameter_facts("INSERT INTO t VALUES (?)", strange)
    parameter_facts("INSERT INTO t VALUES (?)", [strange, (strange,)])
    row_facts("SELECT a FROM t", lambda: ["a"], lambda: [strange, (strange,), {"a": strange, strange: 1}])
    received_value_facts("GET a", strange)
    sent_value_facts("SET a", [strange, {"a": [strange]}])


def test_iterators_of_the_app_are_not_consumed() -> None:
    rows = iter([(CARD,)])
    assert parameter_facts("INSERT INTO t VALUES (?)", rows) == ()
    assert received_value_facts("GET a", rows) == ()
    assert list(rows) == [(CARD,)]


def test_dict_that_another_thread_changes_is_no_fault() -> None:
    shared: dict[str, Any] = {str(at): CARD for at in range(1_000)}
    done = threading.Event()

    def change() -> None:
        at = 1_000
        while not done.is_set():
            shared[str(at)] = CARD
            shared.pop(str(at - 900), None)
            at += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for at in range(200):
            received_value_facts(f"GET {at}", shared)
    finally:
        done.set()
        thread.join()


def test_reading_keeps_to_its_share_of_time() -> None:
    now = [0]
    sampler = Sampler(lambda: now[0])

    def cells() -> Iterator[tuple[str, Any]]:
        now[0] += 100_000
        yield "a", CARD

    calls = 0
    for _ in range(50_000):
        calls += 1
        tally = Tally()  # every statement is new
        tally.calls = 1
        if sampler.wants(tally):
            sampler.read(tally, cells, values=True)
    assert sampler.spent_ns <= sampling.BURST_NS + sampling.NS_PER_CALL * calls + 100_000
    assert sampler.spent_ns >= sampling.NS_PER_CALL * calls


def test_first_calls_of_a_statement_are_read_and_then_few() -> None:
    sampler, tally, read = Sampler(lambda: 0), Tally(), list[int]()
    for call in range(1, 10_001):
        tally.calls = call
        if call >= tally.next_at and sampler.wants(tally):
            read.append(call)
    assert read[:8] == list(range(1, 9))
    assert read[8:] == [16, 32, 64, 128, 256, 512, 1_024, *range(2_048, 10_001, 1_024)]
    assert sampler.calls == read[-1]


def test_one_call_reads_a_bounded_number_of_cells() -> None:
    reads: list[int] = []

    def cells() -> Iterator[tuple[str, Any]]:
        for at in range(10 * MAX_CELLS):
            reads.append(at)
            yield "a", "x"

    Sampler(lambda: 0).read(Tally(), cells, values=True)
    assert len(reads) == MAX_CELLS


def test_kinds_stay_known_for_calls_that_are_not_read() -> None:
    sql = "INSERT INTO t VALUES (?)"
    facts = [parameter_facts(sql, (CARD,)) for _ in range(100)]
    assert set(facts) == {((names.DATA_SENT, "card"),)}


def test_single_number_in_no_groups_is_not_a_card_yet() -> None:
    numbers = ["4111111111111111", "5555555555554444", "4242424242424242", "4000056655665556", "5105105105105100"]
    facts = [received_value_facts("GET order:?", number) for number in numbers]
    assert facts[0] == ()
    assert facts[-1] == ((names.DATA_RECEIVED, "card"),)


def test_modes_read_no_more_than_they_say() -> None:
    document = json.dumps({"email": CARD})
    found: dict[str, list[Any]] = {}
    for mode in ("off", "columns", "values"):
        observation.forget()
        set_mode(mode)
        found[mode] = [
            received_value_facts("GET a", document), parameter_facts("INSERT INTO t VALUES (?)", (CARD,)),
            reads_rows("SELECT a FROM t"), reads_rows("SELECT * FROM t"),
        ]  # fmt: skip
    assert found == {
        "off": [(), (), False, False],
        "columns": [((names.DATA_RECEIVED, "email"),), (), False, True],
        "values": [((names.DATA_RECEIVED, "email,card"),), ((names.DATA_SENT, "card"),), True, True],
    }


def test_average_call_costs_less_than_a_microsecond() -> None:
    rows = [(f"user{at}@example.org", CARD, "x" * 40, at) for at in range(20)]
    sql, columns = "SELECT a, b, c, d FROM t", ["a", "b", "c", "d"]
    calls = 20_000

    def work() -> None:
        for _ in range(calls):
            row_facts(sql, lambda: columns, lambda: rows)

    def yardstick() -> None:
        for _ in range(calls):
            json.loads('{"a": 1, "b": [1, 2]}')

    started = time.thread_time()
    work()
    first = time.thread_time() - started
    assert first / calls < 5e-6  # with its burst, on any machine
    assert least_cpu_s(work) < least_cpu_s(yardstick)
