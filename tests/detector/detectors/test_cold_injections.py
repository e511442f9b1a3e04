"""Injections and honest faults at call sites of which little is known, and releases that fail."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, at, list_fired, past

BY_ID = "SELECT id, title FROM book WHERE id = ?"
INPUT = "request-input"
LETTER = f"{BY_ID} AND (SELECT ascii(substr(password, ?, ?)) FROM staff WHERE id = ?) > ?"
COUNTS = "SELECT table_name, table_rows FROM information_schema.tables WHERE table_schema = database()"


def _fail(code: str, name: str) -> dict[str, Any]:
    return {names.ERROR_TYPE: name, names.STATUS_CODE: code, "error": True}


def _first(statement: str, signs: str = "", **more: Any) -> set[str]:
    """Return the rules that the first call of an app fires."""
    signed = {"backwatch__query__signs": signs} if signs else {}
    return list_fired([at(0, statement=statement, **signed, **more)])[0]


@pytest.mark.parametrize(
    ("statement", "signs"),
    [
        (f"{BY_ID} UNION SELECT login, password FROM staff", INPUT),
        ("SELECT id FROM book ORDER BY (CASE WHEN (SELECT ? FROM staff) > ? THEN title ELSE isbn END)", INPUT),
        (f"{BY_ID}; UPDATE staff SET role = ?", INPUT),
        (LETTER, "conditional"),
        ("SELECT id FROM book WHERE ascii(substr((SELECT password FROM staff LIMIT ?), ?, ?)) > ?", "conditional"),
    ],
)
def test_a_query_from_outside_is_an_attack_at_its_first_call(statement: str, signs: str) -> None:
    assert "query-attack" in _first(statement, signs)


@pytest.mark.parametrize("condition", ["price > ?", "id = ? OR id IS NOT NULL"])
def test_a_condition_that_came_with_the_request_is_an_injectable_call_site(condition: str) -> None:
    assert _first(f"SELECT id, title FROM book WHERE {condition}", INPUT) == {"injectable-call-site"}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM book WHERE title LIKE ? brien ?", "SELECT id FROM book WHERE title = ? s now or never ?",
        "INSERT INTO note (book, body) VALUES (?, ? s fine ?", "SELECT id FROM book WHERE title = ? ?",
    ],
)  # fmt: skip
def test_a_text_with_a_quote_is_a_bug_in_the_first_minute(statement: str) -> None:
    refused = _fail("42601", "psycopg.errors.SyntaxError")
    assert _first(statement, f"unbalanced-quote,{INPUT}", **refused) == {"injectable-call-site"}


def test_a_bracket_too_many_is_probing_in_the_first_minute() -> None:
    refused = _fail("42601", "psycopg.errors.SyntaxError")
    assert "query-attack" in _first("SELECT id FROM book WHERE id = ?) ?", f"unbalanced-quote,{INPUT}", **refused)


@pytest.mark.parametrize(
    ("known", "statement", "code", "name"),
    [
        (BY_ID, "SELECT id, title, isbn FROM book WHERE id = ?", "42703", "UndefinedColumn"),
        (BY_ID, f"{BY_ID} AND archived = ?", "42703", "UndefinedColumn"),
        (BY_ID, "SELECT id, title FROM books WHERE id = ?", "42P01", "UndefinedTable"),
        (BY_ID, "SELECT b.id, s.name FROM book b JOIN shelf s ON s.id = b.shelf WHERE b.id = ?", "42P01",
         "UndefinedTable"),
        (BY_ID, "SELECT id, title FROM book WHERE uuid = ?", "1054", "OperationalError"),
        (BY_ID, f"{BY_ID} ORDER BY rank", "1054", "OperationalError"),
        (BY_ID, "SELECT id, title FROM book WHERE id LIKE ?", "42883", "UndefinedFunction"),
        (BY_ID, "SELECT id, title, price FROM book WHERE id = ?", "42501", "InsufficientPrivilege"),
        ("UPDATE note SET body = ? WHERE id = ?", "UPDATE note SET body = ?, lang = ? WHERE id = ?", "1054",
         "OperationalError"),
        ("INSERT INTO note (book, body) VALUES (?, ?)", "INSERT INTO note (book, body, lang) VALUES (?, ?, ?)", "42703",
         "UndefinedColumn"),
    ],
)  # fmt: skip
def test_a_release_before_its_migration_is_no_attack(known: str, statement: str, code: str, name: str) -> None:
    failing = [at(3 * DAY + k, statement=statement, **_fail(code, name)) for k in range(5)]
    assert list_fired(past(statement=known), failing) == [{"unusual-query"}] * 5


def test_statistics_of_tables_are_no_attack_in_the_first_minute() -> None:
    assert _first(COUNTS, "catalogue,version-probe") == set()


def test_dropping_an_index_destroys_no_data() -> None:
    assert "data-destroyed" not in list_fired(past(statement=BY_ID), [at(3 * DAY, statement="DROP INDEX ix_book")])[0]


def test_a_delay_during_a_campaign_belongs_to_the_campaign() -> None:
    probe = at(0, statement=f"{BY_ID} UNION SELECT login, password FROM staff", backwatch__query__signs=INPUT)
    delay = at(5, statement="SELECT (SELECT sleep(?))", backwatch__query__signs="time-delay")
    assert list_fired([probe, delay])[1] == {"query-attack"}
