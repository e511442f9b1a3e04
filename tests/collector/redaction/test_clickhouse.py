"""Rows behind a ClickHouse statement of any form are not reported; nothing else is cut."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector.redaction.clickhouse import strip_data
from backwatch.collector.redaction.sanitize import sanitize

HEADS = [
    "INSERT INTO t",
    "/* app:web */ INSERT INTO t",
    "-- web\n insert\ninto t",
    "INSERT INTO t SETTINGS log_comment='my job'",
    "INSERT INTO t SELECT lower(a) FROM input('a String')",
    "INSERT INTO t SELECT * FROM input('a String') WHERE b = 'format x'",
    "INSERT INTO t (* EXCEPT(b))",
    'INSERT INTO t (`a)b`, "c(d", `e\\`(`)',
    "INSERT INTO db.format",
    "INSERT INTO `format CSV` (a)",
    "INSERT INTO FUNCTION remote('h', db.t, 'u', concat('p', 'q'))",
    "INSERT INTO TABLE FUNCTION file('x(.csv')",
    "INSERT INTO t PARTITION BY a",
    "INSERT INTO t SELECT a.* FROM input({shape:String}) AS a",
    "INSERT INTO t SELECT format(a, b), $x$ ( $x$ FROM input('a String')",
    "WITH 1 AS one INSERT INTO t SELECT one FROM input('a String')",
    "SELECT 1; INSERT INTO t",
    "INSERT INTO t (" + ", ".join(f"column_{number}" for number in range(1_000)) + ")",
]
QUERIES = [
    "SELECT a FROM t FORMAT CSV",
    "INSERT INTO t SELECT format x FROM u",
    "INSERT INTO t SELECT a, format x FROM u",
    "INSERT INTO t SELECT 7 * format x FROM u",
    "INSERT INTO t SELECT a AS format FROM u",
    "INSERT INTO t SELECT a /* " + "x" * 400 + " */, format b FROM u",
    "INSERT INTO t SELECT a FROM (SELECT b format c FROM u)",
    "INSERT INTO t FORMAT Values ('a FORMAT b', 1)",
    "INSERT INTO t VALUES ('a FORMAT CSV')",
    "SELECT insert FROM t FORMAT CSV; SELECT 1",
]


FORMATS = ("FORMAT CSV\n", "format\tTabSeparated ", "FORMAT /* x */ JSONEachRow\n")


@pytest.mark.parametrize("head", HEADS, ids=[head[:40] for head in HEADS])
def test_no_row_is_reported(head: str) -> None:
    for form in FORMATS:
        redacted = sanitize(f"{head} {form}Ann,hunter,Smith", "clickhouse")[0]
        assert "hunter" not in redacted
        assert "INSERT" in redacted.upper()


@settings(deadline=None)
@given(
    st.sampled_from(HEADS),
    st.sampled_from(FORMATS),
    st.lists(st.sampled_from(["hunter", "'", '"', ",", "(", ")", "FORMAT x", "\n", ";", "7", "/*", "$$", "`"])),
)
def test_no_row_with_any_content_is_reported(head: str, form: str, rows: list[str]) -> None:
    assert "hunter" not in sanitize(f"{head} {form}{' '.join(rows)} hunter", "clickhouse")[0]


@pytest.mark.parametrize("text", QUERIES)
def test_text_that_is_no_row_stays(text: str) -> None:
    assert strip_data(text) == text
    assert strip_data(text.encode()) == text.encode()


@given(st.text(alphabet="insertformat ()'\"`*,;$\\/#-\nx", max_size=80))
def test_any_text_is_taken_and_is_cut_at_most(text: str) -> None:
    for shown in (text, f"INSERT INTO t {text} FORMAT CSV x"):
        assert shown.startswith(str(strip_data(shown)))


@pytest.mark.parametrize(
    "unit", ["a, format x ", "* ", "*", "( format x ", "'", '"a" ', "--\n", " ", "$a$b", "insert ", "/*", "format "]
)
def test_a_hostile_statement_costs_no_more_than_its_length(unit: str) -> None:
    spent: list[float] = []
    for size in (16_000, 64_000):
        text = ("INSERT INTO t SELECT " + unit * size)[:size] + " format x"
        rounds: list[float] = []
        for _ in range(5):
            began = time.process_time()
            strip_data(text)
            rounds.append(time.process_time() - began)
        spent.append(min(rounds))
    assert spent[1] < 8 * spent[0] + 0.002
