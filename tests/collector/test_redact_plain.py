"""Systems that quote and comment in ways of their own: what they hide stays hidden, and nothing else is lost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.prepare import prepare
from backwatch.collector.redact import amqp, http, messaging, mongo, redis, search
from backwatch.collector.redact.plain import plain, without_rows

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    ("system", "text"),
    [
        ("clickhouse", f"SELECT $${SECRET}$$"),
        ("clickhouse", f"SELECT $h${SECRET} $$ $h$, 1"),
        ("clickhouse", f"SELECT $h${SECRET}"),
        ("clickhouse", f"SELECT 1 --{SECRET}"),
        ("clickhouse", f"INSERT INTO t FORMAT CSV {SECRET},1"),
        ("snowflake", f"CREATE FUNCTION f() AS$${SECRET}$$"),
        ("bigquery", f"SELECT 1 --{SECRET}"),
        ("cassandra", f"SELECT a FROM t WHERE b = $${SECRET}$$ // {SECRET}"),
        ("cassandra", "SELECT a FROM t WHERE b = 5b6962dd-3f90-4c93-8f61-eabfa4a803e2"),
        ("snowflake", f"SELECT $${SECRET}$$ // {SECRET}"),
        ("nobodyknows", f"SELECT 1 # {SECRET}\n+ 1"),
        ("nobodyknows", f'SELECT r"{SECRET}", """{SECRET}"""'),
        ("nobodyknows", "SELECT 5b6962dd-3f90-4c93-8f61-eabfa4a803e2"),
        ("nobodyknows", f"SELECT q'[it''s // {SECRET}]', q'!$$ {SECRET}!'"),
        ("postgresql", f"COPY t FROM stdin;\n1\t{SECRET}\n\\.\nSELECT 1"),
        ("postgresql", f"SELECT 1; copy t (a) from STDIN (format csv);\n{SECRET},1"),
    ],
)
def test_what_only_this_system_takes_for_a_value_is_hidden(system: str, text: str) -> None:
    told = prepare(text, system)[0]
    assert SECRET not in told
    assert "eabfa4a803e2" not in told
    assert told


@pytest.mark.parametrize("system", ["clickhouse", "nobodyknows", "cassandra", "postgresql", "mysql", "sqlite", "mssql"])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, $1, :b, 'it''s // -- $$' FROM t WHERE c = ? -- x",
        'SELECT "a", `b` FROM t /* // $$ */ WHERE c = 7',
        "SELECT * FROM sys.v_$session$x",
    ],
)
def test_usual_sql_is_left_as_it_is(system: str, text: str) -> None:
    assert plain(text, system) == text


def test_what_stands_among_rows_is_not_told_but_its_signs_are() -> None:
    told, signs, _ = prepare("COPY t FROM stdin;\nSELECT pg_sleep(5) FROM pg_shadow", "postgresql")
    assert "pg_shadow" not in told
    assert "time-delay" in signs.split(",")


@given(
    st.text(alphabet="$a'\"/#-*;\\ \nrq[]0f", max_size=60), st.sampled_from(["clickhouse", "x", "cassandra", "hive"])
)
def test_no_text_changes_its_length(text: str, system: str) -> None:
    assert len(plain(text, system)) == len(text)


@given(st.text(max_size=200))
def test_rows_are_cut_out_of_any_text_without_an_error(text: str) -> None:
    for shown in (text, f"copy t from stdin;{text}", f"from stdin{text}"):
        assert len(without_rows(shown)) <= len(shown)


@pytest.mark.parametrize("system", ["clickhouse", "nobodyknows"])
@pytest.mark.parametrize("unit", ["$$", "$a$", "'", "//", "/*", "--", '"""', 'r"', "q'[", "abcdef01-", "\\", "$", "#"])
def test_a_hostile_statement_costs_little(system: str, unit: str) -> None:
    text = unit * (65_536 // len(unit))
    spent: list[float] = []
    for _ in range(5):
        began = time.process_time()
        plain(text, system)
        without_rows(text)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.05  # on a busy machine; half of it on an idle one


@pytest.mark.parametrize("unit", ["from stdin ", "from stdin;", "from stdin;\n\\.\n", "from  "])
def test_a_hostile_script_costs_little(unit: str) -> None:
    text = unit * (65_536 // len(unit))
    spent: list[float] = []
    for _ in range(5):
        began = time.process_time()
        without_rows(text)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.03


def test_an_address_in_a_name_hides_the_name() -> None:
    address = "user.ann.smith@mail.example"
    assert [amqp.name(address), messaging.destination(address)] == ["?", "?"]
    assert search.statement("PUT", "/u/_doc/1", [], {address: 1}) == "PUT /u/_doc/? {?:?}"
    assert amqp.name("celery@host") == "celery@host"


def test_a_password_that_tears_a_url_apart_takes_the_path_with_it() -> None:
    assert http.statement("GET", "http://u:abc/defghi@h/x") == "GET ?/?"
    assert http.statement("GET", "http://u:12/defghi@h/x") == "GET u:12/?"
    assert http.statement("GET", "http://h:80/users/ann@example.com") == "GET h/?"
    assert http.statement("GET", "http://h/@ann/x") == "GET h/?/x"


def test_tokens_of_letters_alone_are_no_names() -> None:
    assert mongo.statement({"find": "t", "filter": {"tTFSAqErpkwPozICjfMDIn": 1}}) == "find t filter:{?:?}"
    assert mongo.statement({"find": "t", "filter": {"deliveryAddressLine": 1}}) == (
        "find t filter:{deliveryAddressLine:?}"
    )
    assert search.template("/users,wtzn7it42af9kzn1-*/_count") == "/?-*,users/_count"
    assert search.template("/logs-2026.11.25/_search") == "/logs-?.?.?/_search"


def test_a_word_that_is_no_command_of_redis_is_no_operation() -> None:
    assert [redis.is_name(one) for one in ("SET", "ACL SETUSER", "JSON.GET", "HUNTER2", "ACL HUNTER2", "")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
