"""Input that breaks a statement unescaped is a bug of the app; what only looks like it is an attack."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, at, list_fired, past

REFUSED: dict[str, Any] = {
    names.ERROR_TYPE: "psycopg.errors.SyntaxError", names.STATUS_CODE: "42601", "error": True,
}  # fmt: skip
BY_ID = "SELECT id, title FROM book WHERE id = ? ORDER BY title"
BY_NAME = "SELECT id, title FROM book WHERE title LIKE ? ORDER BY title"
LISTED = "SELECT id, title FROM book WHERE id IN (?) ORDER BY title"
ADDED = "INSERT INTO note (book, reader, stars, body) VALUES (?, ?, ?, ?)"
CHANGED = "UPDATE reader SET phone = ? WHERE id = ?"


def _broken(known: str, text: str, signs: str = "") -> set[str]:
    more: dict[str, Any] = {"backwatch__query__signs": signs} if signs else {}
    return list_fired(past(statement=known), [at(3 * DAY, statement=text, **REFUSED, **more)])[-1]


@pytest.mark.parametrize(
    ("known", "text", "signs"),
    [
        (BY_NAME, "SELECT id, title FROM book WHERE title LIKE ? Brien ?", "unbalanced-quote"),  # '%O'Brien%'
        (BY_NAME, "SELECT id, title FROM book WHERE title LIKE ? n ? roll % ?", "unbalanced-quote"),  # rock'n'roll
        (BY_NAME, "SELECT id, title FROM book WHERE title LIKE ? % ?", "unbalanced-quote"),  # '%dogs'%'
        (BY_ID, "SELECT id, title FROM book WHERE id = abc ORDER BY title", ""),
        (BY_ID, "SELECT id, title FROM book WHERE id = ORDER BY title", ""),
        (LISTED, "SELECT id, title FROM book WHERE id IN (?, ?, ) ORDER BY title", ""),
        (ADDED, "INSERT INTO note (book, reader, stars, body) VALUES (?, ?, ?, ? s fine ?", "unbalanced-quote"),
        (CHANGED, "UPDATE reader SET phone = ? t call ?", "unbalanced-quote"),  # 'don't call' WHERE …
    ],
)
def test_an_honest_input_that_breaks_a_statement_is_a_bug(known: str, text: str, signs: str) -> None:
    assert _broken(known, text, signs) == {"injectable-call-site"}


@pytest.mark.parametrize(
    ("known", "text", "signs"),
    [
        (
            BY_ID,
            "SELECT id, title FROM book WHERE id = ? ? KDDY ? KDDY ORDER BY title",
            "unbalanced-quote",
        ),  # 7' AND 'KDDY
        (BY_ID, "SELECT id, title FROM book WHERE id = ? % ? WHNF % ? WHNF", "unbalanced-quote"),
        (BY_ID, "SELECT id, title FROM book WHERE id = ?,, ., ?", "unbalanced-quote"),
        (LISTED, "SELECT id, title FROM book WHERE id IN (?, ?, ? ? ?", "unbalanced-quote"),
        (BY_ID, "SELECT id, title FROM book WHERE id = ? ORDER BY ? --", "comment-tail"),
    ],
)
def test_probing_that_breaks_a_statement_is_an_attack(known: str, text: str, signs: str) -> None:
    assert "query-attack" in _broken(known, text, signs)


def test_the_same_bug_thrice_within_minutes_is_probing() -> None:
    names_tried = ("brien", "neill", "hara", "leary", "dowd")
    broken = [
        at(3 * DAY + 20 * i, statement=f"SELECT id, title FROM book WHERE title LIKE ? {name} ?", **REFUSED)
        for i, name in enumerate(names_tried)
    ]
    assert list_fired(past(statement=BY_NAME), broken) == [{"injectable-call-site"}] * 3 + [{"query-attack"}] * 2
