"""What is left of commands, URLs, addresses and errors."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.redact import dsn, errors, http, redis, smtp, sql

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
    assert redis.statement(command) == expected


@given(st.lists(anything, max_size=8))
def test_no_redis_command_makes_it_raise(command: list[object]) -> None:
    assert len(redis.statement(command)) <= redis.MAX_STATEMENT


_ARGUMENTS = st.one_of(
    st.sampled_from(
        ["EX", "nx", b"XX", "GET", "k:1", "user:7:x", b"q:9", 60, 1.5, True, None, "LIMIT", "WITHSCORES", "", "a" * 70]
    ),
    anything,
)


@given(st.sampled_from(sorted(redis._KIND)), st.lists(_ARGUMENTS, max_size=13))
def test_a_short_redis_command_is_read_in_one_go_and_the_same(name: str, arguments: list[object]) -> None:
    assert redis.statement([name, *arguments]) == redis._any([name, *arguments])


def test_an_endless_redis_command_is_bounded() -> None:
    assert redis.statement(["DEL", *(f"a:{i}" for i in range(100_000))]) == "DEL a:? …"


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
    assert http.statement("get", url) == expected


@given(st.text(), st.text())
def test_no_url_makes_it_raise(method: str, url: str) -> None:
    http.statement(method, url)
    http.redact_url(url)
    dsn.redact_dsn(url)


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
    assert smtp.statement(["b@x.org", "Ann <a@X.org>", "c@a.net"]) == "SEND a.net,x.org"
    assert smtp.statement([]) == "SEND"
    assert smtp.statement(f"a@d{i}.org" for i in range(2_000)).endswith(",…")


def test_an_error_keeps_class_and_code() -> None:
    database = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.execute("SELECT secret FROM nowhere")
    assert errors.error_type(caught.value) == "sqlite3.OperationalError"
    assert errors.error_code(caught.value) == "SQLITE_ERROR"
    assert errors.error_code(Exception(1064, "near 'secret'")) == "1064"
    assert errors.redact_error("ORA-00942: table SECRET") == "ORA-00942"
    assert errors.redact_error("NOAUTH Authentication required.") == "NOAUTH"
    assert errors.redact_error("SECRET words") == ""


def test_sql_is_redacted_in_the_dialect_of_its_system() -> None:
    assert sql.statement('SELECT "x"', "mariadb") == "SELECT ?"
    assert sql.statement('SELECT "x"', "postgresql") == 'SELECT "x"'
