"""Updates of a resource's largest usual response, and calls that must not update it."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, CallFacts, at, list_fired

USUAL = "SELECT id FROM orders WHERE id = ?"


def make_read(at_s: float, rows: int, statement: str = USUAL, row_bytes: int = 0) -> CallFacts:
    facts: CallFacts = {names.ROWS_RETURNED: rows}
    if row_bytes:
        facts[names.BYTES_RECEIVED] = row_bytes * rows
    return at(at_s, statement=statement, **facts)


def usual(days: int = 2) -> list[CallFacts]:
    return [make_read(i * days * DAY / 200, 5 + i % 10) for i in range(200)]


def raises(found: list[set[str]]) -> list[bool]:
    return ["bulk-read" in raised for raised in found]


def test_staircase_of_new_statements_is_detected_from_the_minimum_size_on() -> None:
    sizes = (1_900, 9_000, 43_000, 200_000, 900_000)
    stairs = [make_read(3 * DAY + i * 60, rows, f"SELECT {i} FROM customers") for i, rows in enumerate(sizes)]
    assert raises(list_fired(usual(), stairs)) == [False, True, True, True, True]


def test_staircase_of_bytes_is_detected_without_rows() -> None:
    def taking(at_s: float, size: int, statement: str = USUAL) -> CallFacts:
        facts: CallFacts = {names.BYTES_RECEIVED: size}
        return at(at_s, statement=statement, **facts)

    past = [taking(i * 600, 2_000 + i % 90) for i in range(200)]
    sizes = (1_000_000, 4_900_000, 24_000_000, 110_000_000)
    stairs = [taking(3 * DAY + i * 60, size, f"SELECT {i} FROM customers") for i, size in enumerate(sizes)]
    assert raises(list_fired(past, stairs)) == [False, True, True, True]


def test_bulk_read_does_not_hide_the_next() -> None:
    thefts = [make_read(3 * DAY + i * 3_600, 200_000, f"SELECT {i} FROM customers", 60) for i in range(21)]
    assert raises(list_fired(usual(), thefts)) == [True] * 21


def test_repeated_bulk_read_does_not_hide_another() -> None:
    again = [make_read(3 * DAY + i, 200_000, "SELECT secret FROM customers") for i in range(60)]
    other = [make_read(3 * DAY + 120, 200_000, "SELECT name FROM customers")]
    assert raises(list_fired(usual(), again, other)) == [True]


@pytest.mark.parametrize("apart_s", [60, DAY])
def test_new_statements_raise_the_maximum_at_a_limited_daily_rate(apart_s: int) -> None:
    begin = 600  # small reads are learnt immediately
    steps = [make_read(3 * DAY + i * apart_s, int(begin * 1.45**i), f"SELECT {i} FROM customers") for i in range(14)]
    assert any(raises(list_fired(usual(), steps))) is (apart_s < DAY)


def test_continuing_large_export_becomes_the_reference_in_time() -> None:
    nightly = [make_read((3 + i / 8) * DAY, 20_000 + i % 9, "SELECT export FROM orders") for i in range(240)]
    assert raises(list_fired(usual(), nightly, [make_read(34 * DAY, 20_000, "SELECT other FROM orders")])) == [False]
    early = [make_read(3 * DAY + 3_600 * 6, 20_000, "SELECT other FROM orders")]
    assert raises(list_fired(usual(), nightly[:2], early)) == [True]


def test_first_hundred_calls_of_a_resource_define_its_usual_size() -> None:
    first = [make_read(i * 600, 50_000, f"SELECT {i} FROM orders") for i in range(120)]
    assert raises(list_fired(first, [make_read(2 * DAY, 90_000, "SELECT other FROM orders")])) == [False]


def test_nightly_export_is_news_on_its_first_two_nights_alone() -> None:
    day = [make_read(i * DAY / 24, 5 + i % 10) for i in range(14 * 24)]
    nights = [make_read(i * DAY + 7_000, 5_000 + 300 * i, "SELECT id, total FROM orders") for i in range(5, 14)]
    story = sorted([*day, *nights], key=lambda call: call["time_ns"])
    found = dict(zip((call["time_ns"] for call in story), list_fired(story), strict=True))
    assert raises([found[night["time_ns"]] for night in nights]) == [True] * 2 + [False] * 7


def test_statement_that_reads_far_more_than_at_first_is_news() -> None:
    twice = [make_read(3 * DAY + i * 3_600, 3_000 * 10**i, "SELECT id, total FROM orders") for i in range(2)]
    assert raises(list_fired(usual(), twice)) == [True, True]


def make_backup(day: int, site: str, **facts: Any) -> list[CallFacts]:
    tables = ("products", "users", "orders")
    return [
        {
            **at(day * DAY + 7_200 + i * 9, statement=f"SELECT * FROM {table}", site=site, **facts),
            names.ROWS_RETURNED: 40_000 + i,
        }
        for i, table in enumerate(tables)
    ]


def test_new_job_is_recorded_on_its_first_night_and_raises_nothing() -> None:
    for night in (3, 4, 5):
        nights = [call for day in range(3, night + 1) for call in make_backup(day, "jobs/backup.py:copy")]
        found = set[str]().union(*list_fired(usual(), nights)[-3:])
        assert ("first-bulk-read" in found) is (night == 3)
        assert "bulk-read" not in found


@pytest.mark.parametrize(
    "suspect",
    [
        {names.QUERY_SIGNS: "union-appended,comment-tail"},
        {names.ERROR_TYPE: "ConnectionResetError"},
    ],
)
def test_suspect_read_of_a_first_run_does_not_excuse_the_next(suspect: dict[str, Any]) -> None:
    worker = "worker.py:handle"
    union = "SELECT a FROM t WHERE id = ? UNION SELECT login, password FROM staff -- "
    first = {**at(3 * DAY, statement=union, site=worker), names.ROWS_RETURNED: 300_000, **suspect}
    later = {**at(5 * DAY, statement="SELECT * FROM customers", site=worker), names.ROWS_RETURNED: 300_000}
    assert raises(list_fired(usual(), [first], [later])) == [True]


def test_new_page_that_reads_whole_tables_is_a_bulk_read() -> None:
    found = list_fired(usual(), make_backup(3, "views.py:export", http__route="/debug/export"))
    assert raises(found) == [True] * 3
    assert "first-bulk-read" not in set[str]().union(*found)


def test_same_read_from_a_call_site_in_use_is_a_bulk_read() -> None:
    found = list_fired(usual(), make_backup(3, "views.py:show"))
    assert raises(found) == [True] * 3
    assert "first-bulk-read" not in set[str]().union(*found)


def test_nightly_read_of_a_table_by_day_is_a_bulk_read() -> None:
    days = [make_read(day * DAY + hour * 3_600, 1) for day in range(10) for hour in range(24)]
    nights = [make_read(day * DAY + 4.3 * 3_600, 14_000 + 9 * day) for day in range(2, 10)]
    story = sorted([*days, *nights], key=lambda call: call["time_ns"])
    found = dict(zip((call["time_ns"] for call in story), list_fired(story), strict=True))
    assert raises([found[night["time_ns"]] for night in nights]) == [True] + [False] * 7
    assert raises(list_fired(story, [make_read(10 * DAY + 15 * 3_600, 14_000)])) == [True]
