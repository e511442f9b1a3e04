"""A function that sends two forms of a statement from its first minutes on has both; an attacker's is no form of it."""

import pytest

from tests.detector.stories import at, list_fired

BASE = "SELECT id, title FROM book WHERE shelf = ?"
FORMS = (
    "AND title LIKE ?",
    "OR isbn = ?",
    "AND (title LIKE ? OR isbn = ?)",
    "AND lower(title) = lower(?)",
    "AND EXISTS (SELECT ? FROM loan WHERE loan.book = book.id)",
    "AND id NOT IN (SELECT book FROM loan)",
    "UNION ALL SELECT id, title FROM archived_book WHERE shelf = ?",
    "ORDER BY CASE WHEN sold > ? THEN ? ELSE ? END",
    "AND price > (SELECT avg(price) FROM book)",
)


FILTERS = ("AND title LIKE ?", "OR isbn = ?", "AND (title LIKE ? OR isbn = ?)", "AND lower(title) = lower(?)")


@pytest.mark.parametrize(("form", "one_of"), [*((form, 2) for form in FORMS), *((form, 15) for form in FILTERS)])
def test_forms_of_a_new_call_site_raise_no_attack(form: str, one_of: int) -> None:
    sent = [at(i * 300, statement=f"{BASE} {form}" if i % one_of == one_of - 1 else BASE) for i in range(120)]
    assert "query-attack" not in set[str]().union(*list_fired(sent))


def test_same_form_first_sent_at_a_settled_call_site_is_an_attack() -> None:
    text = f"{BASE} UNION ALL SELECT id, title FROM archived_book WHERE shelf = ?"
    sent = [at(i * 300, statement=text if i == 300 else BASE) for i in range(301)]
    assert "query-attack" in list_fired(sent)[-1]
