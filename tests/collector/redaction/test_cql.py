"""CQL: syntax beyond SQL leaves no value behind, and costs time linear in its length."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.redaction import cql
from backwatch.collector.redaction.sanitize import sanitize

SECRET = "qX7canary9Zk"
UUID = "abcdefab-3f90-4c93-8f61-eabfa4a803e2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"SELECT a FROM t WHERE id = {UUID}", "SELECT a FROM t WHERE id = ?"),
        (f"SELECT a FROM t WHERE id IN ({UUID}, {UUID})", "SELECT a FROM t WHERE id IN(?)"),
        (f"INSERT INTO t (a) VALUES ($$it's {SECRET}$$)", "INSERT INTO t(a) VALUES(?)"),
        (f"INSERT INTO t (a) VALUES ($$a$b; {SECRET}", "INSERT INTO t(a) VALUES(?"),
        (f"SELECT a FROM t // where 'b = {SECRET}", "SELECT a FROM t"),
        (f"SELECT a FROM t // it's\n WHERE b = '{SECRET}'", "SELECT a FROM t WHERE b = ?"),
        (f"UPDATE t SET a = 'x\\' WHERE b = '{SECRET}'", "UPDATE t SET a = ? WHERE b = ?"),
        ("UPDATE t SET d = 1h30m, e = P1Y2M, f = 2Y3mo, g = p0001-02-03T04:05:06",
         "UPDATE t SET d = ?, e = ?, f = ?, g = ?"),
        (f"UPDATE t SET m = m + {{'{SECRET}': 0xCAFE}}", "UPDATE t SET m = m + { ? : ? }"),
        (f"ALTER ROLE r WITH PASSWORD = '{SECRET}' AND LOGIN = true", "ALTER ROLE r WITH PASSWORD ? AND LOGIN = true"),
        (f"CREATE ROLE r WITH PASSWORD = $${SECRET}$$", "CREATE ROLE r WITH PASSWORD ?"),
        ("SELECT p1, patient, d1h FROM t", "SELECT p1, patient, d1h FROM t"),
        ('SELECT "a//b" FROM t WHERE c = 1', 'SELECT "?" FROM t WHERE c = ?'),
    ],
)  # fmt: skip
def test_values_are_cut_and_names_stay(text: str, expected: str) -> None:
    redacted = sanitize(cql.hide_literals(text), "cassandra")[0]
    assert redacted == expected
    assert SECRET not in redacted


@given(st.lists(st.sampled_from(["$$", "'", "//", "\n", UUID, "\\", "/*", "*/", "1h", "P1Y", '"', "a", " ", "$", ";"])))
def test_the_length_stays(parts: list[str]) -> None:
    text = "".join(parts)
    assert len(cql.hide_literals(text)) == len(text)


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    assert len(cql.hide_literals(text)) == len(text)


@given(st.text("$'\"a -/\n;", max_size=40))
def test_a_value_in_dollars_never_comes_through(noise: str) -> None:
    noise = noise.replace("$", "")
    redacted = sanitize(cql.hide_literals(f"INSERT INTO t (a) VALUES ($${noise}{SECRET}{noise}$$)"), "cassandra")[0]
    assert SECRET not in redacted


def test_a_batch_of_any_size_is_one_statement() -> None:
    texts = [f"INSERT INTO t (a, b) VALUES ({number}, '{number}')" for number in range(1000)]
    assert sanitize(cql.to_batch_statement(texts[:1]), "cassandra") == sanitize(
        cql.to_batch_statement(texts), "cassandra"
    )
    assert sanitize(cql.to_batch_statement(texts), "cassandra")[1] == ""


@pytest.mark.parametrize("unit", ["$$", "'", "//", "/*", "abcdef01-", "1h", "P1", "$", "\\", "00000000-0000-"])
def test_a_hostile_statement_costs_little(unit: str) -> None:
    text = unit * (65_536 // len(unit))
    cql.hide_literals(text)
    took: list[float] = []
    while len(took) < 6 and min(took, default=1.0) >= 0.03:  # other processes can only make it look longer
        began = time.process_time()
        cql.hide_literals(text)
        took.append(time.process_time() - began)
    assert min(took) < 0.03
