"""Redaction of commands, URLs, addresses and errors."""

import sqlite3
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.redaction import dsn, errors, http, redis, smtp, sql

anything = st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.floats())


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["GET", "session:8f2c"], "GET session:?"),
        (["SET", "k", "v"], "SET ? ?"),
        (["SET", "k", "nx"], "SET ? ?"),
        (["set", b"k", b"v", "nx", "EX", 60], "SET ? ? NX EX ?"),
        (["MGET", "a:1", "a:2", "a:3"], "MGET a:?"),
        (["MSET", "a:1", 1, "a:2", 2], "MSET a:? ?"),
        (["DEL", "a:1", "b:2"], "DEL a:? b:?"),
        (["ZADD", "z:1", 1, "x", 2, "y"], "ZADD z:? ?"),
        (["SCAN", 0, "MATCH", "x*", "COUNT", 9], "SCAN ? MATCH ? COUNT ?"),
        (["BLPOP", "q:1", "q:2", 0], "BLPOP q:? ?"),
        (["CONFIG", "SET", "dir", "/var"], "CONFIG SET dir ?"),
        (["CONFIG SET", "dir", "/var"], "CONFIG SET dir ?"),
        (["CLIENT", "SETINFO", "LIB-NAME", "redis-py"], "CLIENT SETINFO ?"),
        (["EVALSHA", "abc", 1, "k"], "EVALSHA ?"),
        (["JSON.GET", "doc:1"], "JSON.GET doc:?"),
        (["PING"], "PING"),
        (["NOSUCH", "x"], "?"),
        ([], "?"),
    ],
)
def test_a_redis_command_keeps_its_name_and_the_classes_of_its_arguments(command: list[object], expected: str) -> None:
    assert redis.to_statement(command) == expected


@given(st.lists(anything, max_size=8))
def test_no_redis_command_makes_it_raise(command: list[object]) -> None:
    assert len(redis.to_statement(command)) <= redis.MAX_STATEMENT


_ARGUMENTS = st.one_of(
    st.sampled_from(
        ["EX", "nx", b"XX", "GET", "k:1", "user:7:x", b"q:9", 60, 1.5, True, None, "LIMIT", "WITHSCORES", "", "a" * 70]
    ),
    anything,
)


@given(st.sampled_from(sorted(redis.KINDS)), st.lists(_ARGUMENTS, max_size=13))
def test_fast_path_for_short_redis_commands_gives_the_same_result(name: str, arguments: list[object]) -> None:
    assert redis.to_statement([name, *arguments]) == redis._any([name, *arguments])


def test_an_endless_redis_command_is_bounded() -> None:
    assert redis.to_statement(["DEL", *(f"a:{i}" for i in range(100_000))]) == "DEL a:? …"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1/users/42/orders?x=1", "GET api.example.com/v1/users/?/orders"),
        ("https://api.example.com:443/a", "GET api.example.com/a"),
        ("http://api.example.com:8080/", "GET api.example.com:8080/"),
        ("http://[::1]:8080/a", "GET [::1]:8080/a"),
        ("https://h/3f2c1a9e-0000-4000-8000-000000000000/avatar.png", "GET h/?/avatar.png"),
        ("https://h/deadbeefcafe/oauth2/token", "GET h/?/oauth2/token"),
        ("https://h/a/ann@example.com", "GET h/a/?"),
        ("/only/a/path/7", "GET /only/a/path/?"),
        ("https://h/" + "a/" * 50, "GET h" + "/a" * 12 + "/…"),
        ("http://[::1/x", "GET /?"),
        ("http://h:99999/x", "GET ?/x"),
        ("", "GET /"),
    ],
)
def test_a_request_keeps_method_host_and_path_template(url: str, expected: str) -> None:
    assert http.to_statement("get", url) == expected


@given(st.text(), st.text())
def test_no_url_makes_it_raise(method: str, url: str) -> None:
    http.to_statement(method, url)
    http.redact_url(url)
    dsn.redact_dsn(url)


@pytest.mark.parametrize(
    "query",
    [
        "api_key=hunter2", "x=1&apiKey=hunter2", "X-API-Key=hunter2", "Subscription-Key=hunter2",
        "access_token=hunter2", "google.maps.api-key=hunter2", "x=1;client_secret=hunter2", "PASSWORD=hunter2",
        "db_passwd=hunter2", "user[password]=hunter2", "api_token=hunter2", "key=AIzaSyD-9tSrke72PouQMnMX-a7",
        "token=glpat-9f86D081884c7d65a",
        "token=ab%2Bc%2F9F86d081884c7d65a", "appid=b6907d289e10d714a6e88b30761fae22", "auth=9f86d081884c7d659a2f",
        "key=short&token=x&key=9f86D081884c7d65",
    ],
)  # fmt: skip
def test_a_secret_in_a_query_is_found_by_name_and_appearance(query: str) -> None:
    assert http.carries_secret(f"/v1/rates?{query}")
    assert http.carries_secret(f"https://h/v1/rates?a=b&{query}#x")
    assert not http.carries_secret(f"/v1/rates#{query}")
    assert not http.carries_secret(f"/v1/rates?a=b#c?d=e&{query}")


@pytest.mark.parametrize(
    "query",
    [
        "", "key=colour", "key=user:1234567890123456", "token=12345678901234567890", "page_token=9f86D081884c7d65a",
        "next_token=9f86D081884c7d65a", "continuation-token=9f86D081884c7d65a", "csrf_token=9f86D081884c7d65a",
        "X-Amz-Security-Token=9f86D081884c7d65a", "idempotency_key=9f86D081884c7d65a",
        "partition_key=9f86D081884c7d65a",
        "api_key=", "api_key=&x=1234", "monkey=9f86D081884c7d65a", "reset_password=true", "show_password=false",
        "key=00000003-0a1b-4c2D-c000-000000000000", "key=uploads-2024-Report-final.pdf", "token=the-quick-brown-fox-2",
        "key=9f86d081884c7d659a2feaa0c55ad015", "appid=00000003-0000-0000-c000-000000000000",
        "X-Amz-Signature=9f86d081884c7d65a&X-Amz-Credential=AKIAEXAMPLE", "sig=9f86D081884c7d65a",
        "q=api_key%3Dhunter2",
    ],
)  # fmt: skip
def test_harmless_query_parameters_are_not_redacted(query: str) -> None:
    assert not http.carries_secret(f"/v1/rates?{query}")


words = st.sampled_from(["key", "token", "api_key", "[", "]", "%", "%2", "=", "&", ";", "#", "?", "\0", "é", "a" * 40])


@given(st.lists(st.one_of(words, st.text(max_size=5))).map("".join), st.integers(0, 9_000))
def test_text_after_a_secret_in_a_query_does_not_hide_it(query: str, more: int) -> None:
    http.carries_secret(f"/?{query}{'&' * more}")
    assert http.carries_secret(f"/?api_key=hunter2&{query}{'&' * more}")


@pytest.mark.parametrize(
    "unit",
    ["a", "_", "=", "?", "&", "?;&", "&key=", "&key=a", f"&key={'a' * 25}", f"&key={'a1' * 250}", "_key=", "%", "[key"],
)
def test_a_hostile_query_costs_as_little_as_its_redaction(unit: str) -> None:
    hostile = "/?key=" + unit * (8_192 // len(unit))
    usual = "https://h/" + "a1/" * 2_700
    taken = min(timeit.repeat(lambda: http.carries_secret(hostile), number=10, repeat=7))
    assert taken < 5 * min(timeit.repeat(lambda: http.to_statement("GET", usual), number=10, repeat=7))


def test_a_url_keeps_neither_user_nor_query_nor_fragment() -> None:
    assert http.redact_url("https://a:b@h.example:8443/x/1?y=z#w") == "https://h.example:8443/x/?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:p@h:5432/d?sslmode=require", "postgresql://h:5432/d"),
        ("redis://:p@h/0", "redis://h/0"),
        ("host=h port=5432 user=u password='a b' dbname=d", "host=h port=5432 dbname=d"),
        ("Server=h,1433;Uid=u;Pwd=p;Database=d", "server=h,1433;database=d"),
        ("nonsense", "?"),
        ("x://h:port/", "?"),
    ],
)
def test_a_connection_string_keeps_where_to(text: str, expected: str) -> None:
    assert dsn.redact_dsn(text) == expected


def test_mail_keeps_the_domains() -> None:
    assert smtp.to_statement(["b@x.org", "Ann <a@X.org>", "c@a.net"]) == "SEND a.net,x.org"
    assert smtp.to_statement([]) == "SEND"
    assert smtp.to_statement(f"a@d{i}.org" for i in range(2_000)).endswith(",…")


def test_an_error_keeps_class_and_code() -> None:
    database = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.execute("SELECT secret FROM nowhere")
    assert errors.get_error_type(caught.value) == "sqlite3.OperationalError"
    assert errors.get_error_code(caught.value) == "SQLITE_ERROR"
    assert errors.get_error_code(Exception(1064, "near 'secret'")) == "1064"
    assert errors.redact_error("ORA-00942: table SECRET") == "ORA-00942"
    assert errors.redact_error("NOAUTH Authentication required.") == "NOAUTH"
    assert errors.redact_error("SECRET words") == ""


def test_sql_is_redacted_in_the_dialect_of_its_system() -> None:
    assert sql.to_statement('SELECT "x"', "mariadb") == "SELECT ?"
    assert sql.to_statement('SELECT "x"', "postgresql") == 'SELECT "x"'
