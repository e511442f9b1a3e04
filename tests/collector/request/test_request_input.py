"""Kept request input is bounded and released; input inside one token is no code."""

import sys
import threading
from typing import Any
from urllib.parse import parse_qsl

import pytest

from backwatch.collector.bootstrap import start
from backwatch.collector.request import request_input
from backwatch.collector.request.request_input import RequestInput, add_input_sign

S = "SELECT a FROM t WHERE b = {}"


def with_value(value: str, sql: object, signs: str = "") -> str | None:
    request = RequestInput("")
    request.add({"name": value})
    return add_input_sign(request, sql, "postgresql", signs)


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        ("1 OR 1=1", S.format("1 OR 1=1")),
        ("x' OR '1'='1", S.format("'x' OR '1'='1'").encode()),
        ("a; DROP TABLE t", S.format("a; DROP TABLE t")),
        ("it's me", S.format("'it's me'")),
        ("*/ OR 1=1 /*", "SELECT 1 /* */ OR 1=1 /* */"),
        ("-1 OR 2", S.format("-1 OR 2")),
        ("'one' 'two'", S.format("'x''one' 'two'")),
    ],
)
def test_more_than_one_token_of_input_is_code(value: str, sql: object) -> None:
    assert with_value(value, sql) == "request-input"


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        ("ann@example.com", S.format("'ann@example.com'")),
        ("a -- b, c", S.format("'%a -- b, c%'")),
        ("-1234.5", S.format("-1234.5")),
        ("a note, really", "SELECT 1 -- a note, really"),
        ("my-column", 'SELECT "my-column" FROM t'),
        ("customers", "SELECT a FROM customers"),
        ("a b c", S.format("'a b c'")),
        ("1=1", S.format("1 OR 1=1")),
    ],
)
def test_one_token_or_short_input_is_no_code(value: str, sql: object) -> None:
    assert with_value(value, sql, "stacked") == "stacked"


CONSOLE = "SELECT a FROM t WHERE b = 1 OR c = 2"


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        ("1, 2, 3", "SELECT a FROM t WHERE id IN (1, 2, 3)"),
        ("id, name, year", "SELECT id, name, year FROM t"),
        ("name desc", "SELECT a FROM t ORDER BY name desc LIMIT 5"),
        (CONSOLE, CONSOLE),
        (CONSOLE, f"EXPLAIN ANALYZE {CONSOLE}"),
        (CONSOLE, f"SELECT * FROM ({CONSOLE}) AS q LIMIT 100"),
    ],
)
def test_lists_and_whole_queries_that_an_app_offers_are_no_code(value: str, sql: str) -> None:
    assert with_value(value, sql) == ""


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        ("name, (SELECT 1)", "SELECT a FROM t ORDER BY name, (SELECT 1)"),
        ("1) OR (1", "SELECT a FROM t WHERE id IN (1) OR (1)"),
        ("SELECT b FROM c", "SELECT a FROM t WHERE id IN (SELECT b FROM c)"),
        ("name LIMIT 900", "SELECT a FROM t ORDER BY name LIMIT 900"),
        ("t UNION SELECT b FROM c", "SELECT a FROM t UNION SELECT b FROM c"),
        ("t) UNION SELECT b FROM (c", "SELECT a FROM (t) UNION SELECT b FROM (c)"),
    ],
)
def test_lists_with_clauses_or_queries_are_code(value: str, sql: str) -> None:
    assert with_value(value, sql) == "request-input"


@pytest.mark.parametrize(
    "value",
    ["orders.id", "users.id", "1 NOTNULL", "1 ISNULL", "id-id+id", "1 COLLATE x", "'a' ESCAPE 'b'", "id, users.id"],
)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT orders.id, a FROM orders WHERE id = {}",
        "SELECT a FROM orders WHERE b IN (1, 2) AND id <> {} LIMIT 5",
        "SELECT a FROM orders WHERE id >= /* , */ ({})",
        "SELECT a FROM orders WHERE a = 1 + {}",
        "SELECT a FROM orders WHERE id = coalesce(a, {})",
        "SELECT a FROM orders WHERE a BETWEEN 1 AND {}",
    ],
)
def test_lists_at_the_place_of_a_value_are_code(value: str, sql: str) -> None:
    assert with_value(value, sql.format(value)) == "request-input"


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        ("orders.id", "SELECT DISTINCT orders.id FROM orders"),
        ("orders.id", "SELECT lower(a), count(*), sum(orders.id) FROM orders WHERE a = ?"),
        ("b, c.d, e", "SELECT a = 1, b, c.d, e FROM c"),
        ("a, b, c", "SELECT a FROM t GROUP BY a, b, c HAVING a > 1"),
        ("desc, name", "SELECT a FROM t WHERE b = 1 ORDER BY t.year desc, name"),
        ("desc, name", "SELECT a FROM t ORDER BY b->>'c' desc, name"),
        ("3, 4, 5", "SELECT a FROM t WHERE b = 1 AND id NOT IN (1, 2, 3, 4, 5)"),
        ("30, 31, 32", f"SELECT a FROM t WHERE id IN ({', '.join(map(str, range(90)))})"),
        ("3, 1, 2", "SELECT a FROM t ORDER BY FIELD(id, 3, 1, 2)"),
        ("10, 20", "SELECT a FROM t WHERE b = 1 LIMIT 10, 20"),
        ("sales.orders", "SELECT a FROM sales.orders WHERE b = 1"),
        ("1, 2.5", "INSERT INTO t (a, b) VALUES (1, 2.5)"),
        ("1, 2, 3", "SELECT a FROM t WHERE tags && ARRAY[1, 2, 3]"),
        ("12.5,-48.1", "SELECT a FROM t WHERE near(b, point(12.5,-48.1))"),
    ],
)
def test_lists_at_the_place_of_a_list_are_no_code(value: str, sql: str) -> None:
    assert with_value(value, sql) == ""


def test_the_work_for_many_lists_in_one_statement_is_bounded() -> None:
    request = RequestInput("")
    request.add(["12," * count + "12" for count in range(600, 800)])
    calls = 0

    def count(_frame: object, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1

    sql = f"SELECT a FROM t WHERE id IN ({'12,' * 1_360}12)"
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        add_input_sign(request, sql, "postgresql", "")
    finally:
        sys.setprofile(before)
    assert calls < 25 * len(sql)


def test_the_sign_joins_the_others_in_their_order() -> None:
    assert with_value("1 OR 1=1", S.format("1 OR 1=1"), "tautology,cut") in (
        "tautology,cut,request-input",
        "tautology,request-input,cut",
    )


def test_the_kept_input_is_bounded_and_released() -> None:
    request = RequestInput("&".join(f"a{n}=v+{n:06}" for n in range(100_000)))
    deep: Any = "end of it"
    for _ in range(100_000):
        deep = [deep]
    request.add(deep)
    request.add([f"x {n:07}" + "y" * 10_000 for n in range(100_000)])
    values = list(request.values())
    assert 0 < len(values) <= request_input.MAX_VALUES
    assert max(map(len, values)) <= request_input.MAX_LENGTH
    request.clear()
    assert not list(request.values())


def test_nested_request_uses_the_outer_requests_input() -> None:
    outer = request_input.begin(str, str, "a=1")
    mine = request_input.current()
    assert request_input.begin(str, str, "b=2") is None
    assert request_input.current() is mine is not None
    assert outer is not None
    request_input.on_request_end(None, outer, None, None)
    assert request_input.current() is None


def test_frameworks_are_as_they_were_once_watching_stops(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import django.core.handlers.base
    import flask
    import starlette.applications
    import starlette.requests
    import werkzeug.wrappers
    from django.http import HttpRequest

    monkeypatch.setenv("BACKWATCH_STREAM_URL", f"sqlite:///{tmp_path}/stream.db")
    owners = (
        flask.Flask, werkzeug.wrappers.Request, starlette.applications.Starlette, starlette.requests.Request,
        django.core.handlers.base.BaseHandler, HttpRequest,
    )  # fmt: skip
    before = [dict(vars(owner)) for owner in owners]
    start.start()
    assert all(was != dict(vars(owner)) for was, owner in zip(before, owners, strict=True))
    start.stop()
    assert before == [dict(vars(owner)) for owner in owners]
    assert set(start.INBOUND) <= set(sys.modules)


def test_input_being_read_by_one_thread_is_not_missed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request, sql = RequestInput("q=1%20OR%201%3D1"), S.format("1 OR 1=1")
    inside, go, signs = threading.Event(), threading.Event(), list[str | None]()

    def slow(*args: Any, **options: Any) -> Any:
        if not inside.is_set():
            inside.set()
            assert go.wait(20)
        return parse_qsl(*args, **options)

    def look() -> None:
        signs.append(add_input_sign(request, sql, "postgresql", ""))

    monkeypatch.setattr(request_input, "parse_qsl", slow)
    first = threading.Thread(target=look)
    first.start()
    assert inside.wait(20)
    look()
    go.set()
    first.join(20)
    assert signs == ["request-input", "request-input"]


def test_a_form_read_after_the_first_check_is_checked_too() -> None:
    request = RequestInput("")
    request.add({"name": "one or two"})
    assert list(request.values()) == ["one or two"]
    request.add({"name": "three or four"})
    assert list(request.values()) == ["one or two", "three or four"]
    request.clear()
    assert list(request.values()) == []
    request.add({"name": "five or six"})
    assert list(request.values()) == ["five or six"]
