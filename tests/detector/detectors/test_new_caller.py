"""A call site that is new for a function is compared with what the function sends for its other callers and routes."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, at, list_fired, past

KNOWN = "SELECT id, name, mail FROM customers WHERE name = ? ORDER BY id"
UNION = "SELECT id, name, mail FROM customers WHERE name = ? UNION SELECT id, login, password FROM accounts"
LISTS = "app.py:list_orders > app.py:find"
DUMPS = "app.py:answer > app.py:find"
REFUSED: dict[str, Any] = {names.ERROR_TYPE: "psycopg.errors.SyntaxError", names.STATUS_CODE: "42601", "error": True}


def _fired(statement: str, function: str = "find", **more: Any) -> set[str]:
    place: dict[str, Any] = {names.CODE_FILE: "app.py"}
    ordinary = past(statement=KNOWN, site=LISTS, code__function__name="find", **place)
    new = at(3 * DAY, statement=statement, site=DUMPS, code__function__name=function, **place, **more)
    return list_fired(ordinary, [new])[-1]


def test_union_of_another_function_is_judged_cold() -> None:
    assert "query-attack" not in _fired(UNION, "report")


def test_union_from_another_caller_of_the_function_is_an_attack() -> None:
    assert "query-attack" in _fired(UNION)


def test_known_statement_from_another_caller_is_quiet() -> None:
    assert _fired(KNOWN) == set()


def test_known_statement_that_is_refused_from_another_caller_shows_no_hole() -> None:
    assert not {"query-attack", "injectable-call-site"} & _fired(KNOWN, **REFUSED)


@pytest.mark.parametrize("statement", [
    "SELECT id, name, mail FROM customers WHERE name = ? AND city = ? ORDER BY id",
    "SELECT id, name, mail, city FROM customers WHERE name = ? ORDER BY id",
    "SELECT id, name, mail FROM customers WHERE name = ? ORDER BY name LIMIT ?",
    "SELECT id, total FROM orders WHERE customer = ? ORDER BY day",
])  # fmt: skip
def test_another_query_from_another_caller_is_no_attack(statement: str) -> None:
    assert "query-attack" not in _fired(statement)


def test_open_quote_that_was_refused_shows_a_hole_at_a_new_call_site() -> None:
    broken = _fired(
        "SELECT id FROM visits WHERE name = ?", "visits", backwatch__query__signs="unbalanced-quote", **REFUSED
    )
    assert "injectable-call-site" in broken
