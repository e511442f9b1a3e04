"""Systems with special quotes and comments: literals stay hidden, and no other text is lost."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backwatch.collector.redaction import amqp, http, messaging, mongo, redis, search
from backwatch.collector.redaction.plain import hide_literals, strip_rows
from backwatch.collector.redaction.sanitize import sanitize

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
        ("spark", f"SELECT * FROM t WHERE p = r'C:\\' AND n = '{SECRET} two'"),
        ("spark", f'SELECT R"\\", "{SECRET} two"'),
        ("databricks", f"SELECT r'a\\', '{SECRET}'"),
        ("snowflake", f"SELECT 'it\\'s {SECRET}', \"'\", 'a\\\\', '{SECRET}' // it's {SECRET}"),
        ("redshift", f"SELECT 'it\\'s {SECRET}', E'\\' {SECRET}' -- it's {SECRET}"),
        ("mssql", f'SET QUOTED_IDENTIFIER OFF; SELECT * FROM t WHERE f(a, "{SECRET}")'),
        ("microsoft.sql_server", f'set ansi_nulls, quoted_identifier off SELECT "{SECRET}" /* " */, "a {SECRET}'),
        ("bigquery", f'SELECT """it read "{SECRET}" aloud"""'),
        ("bigquery", f"SELECT '''a ' {SECRET} ' b'''"),
        ("bigquery", f'SELECT rb"""a \\""" " {SECRET} " """'),
        ("bigquery", f'SELECT """a " {SECRET}'),
    ],
)
def test_system_specific_literals_are_redacted(system: str, text: str) -> None:
    redacted = sanitize(text, system)[0]
    assert SECRET not in redacted
    assert "eabfa4a803e2" not in redacted
    assert redacted


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
    assert hide_literals(text, system) == text


def test_a_batch_that_enables_quoted_names_reports_them() -> None:
    text = 'SET QUOTED_IDENTIFIER OFF SELECT "a"; SET QUOTED_IDENTIFIER ON SELECT "b"'
    redacted = sanitize(text, "mssql")[0]
    assert redacted == 'SET QUOTED_IDENTIFIER OFF SELECT ?; SET QUOTED_IDENTIFIER ON SELECT "b"'


def test_text_among_rows_is_not_reported_but_its_signs_are() -> None:
    redacted, signs, _ = sanitize("COPY t FROM stdin;\nSELECT pg_sleep(5) FROM pg_shadow", "postgresql")
    assert "pg_shadow" not in redacted
    assert "time-delay" in signs.split(",")


@given(
    st.text(alphabet="$a'\"/#-*;\\ \nrq[]0f", max_size=60),
    st.sampled_from(["clickhouse", "x", "cassandra", "hive", "spark", "bigquery", "snowflake", "redshift", "mssql"]),
)
def test_no_text_changes_its_length(text: str, system: str) -> None:
    assert len(hide_literals(text, system)) == len(text)


FORMS = {
    "spark": ("r'{}'", 'R"{}"', "'{}'", '"{}"'),
    "databricks": ("r'{}'", 'R"{}"', "'{}'", '"{}"'),
    "hive": ("'{}'", '"{}"'),
    "bigquery": ("'''{}'''", '"""{}"""', "r'''{}'''", 'Rb"""{}"""', "bR'{}'", "'{}'", '"{}"', 'r"{}"'),
    "snowflake": ("'{}'", "$${}$$"),
    "redshift": ("'{}'", "E'{}'"),
    "clickhouse": ("'{}'", "$${}$$", "$a${}$a$"),
    "esql": ('"""{}"""', '"{}"'),
    "ppl": ("'{}'", '"{}"'),
}
NOISE = ("'", '"', "''", '""', "\\", "\\'", '\\"', " ", "\n", "#", "-- ", "//", "/*", "*/", "$$", "`", "r'", ",", "a")


def _within(form: str, noise: str) -> bool:
    """Return whether ``noise`` in this form ends the literal nowhere, by the systems' own rules."""
    quote = form[form.index("{") - 1]
    if form.startswith("$"):
        return "$" not in noise
    if "$" in noise and form.endswith("$"):
        return False
    if quote * 3 in form and form[0] == quote and "\\" not in noise:
        return quote not in (noise[:1], noise[-1:]) and quote * 3 not in noise
    if form[0] in "rR" and "b" not in form[:2].lower() and quote * 3 not in form:
        return quote not in noise
    escaped = noise.replace("\\\\", "").replace("\\" + quote, "")
    return quote not in escaped and not escaped.endswith("\\")


@given(
    st.sampled_from([(system, form) for system, forms in FORMS.items() for form in forms]),
    st.lists(st.sampled_from(NOISE), max_size=6).map("".join),
    st.lists(st.sampled_from(NOISE), max_size=6).map("".join),
    st.integers(0, 2),
)
def test_no_word_within_a_string_of_these_systems_is_reported(
    one: tuple[str, str], before: str, after: str, others: int
) -> None:
    system, form = one
    value = f"{before} {SECRET} {after}"
    assume(_within(form, value))
    literal = form.replace("{}", value)
    redacted = _redact(system, f"FROM t | WHERE p = {literal}" + f" AND q == {literal}" * others + " AND known == 1")
    assert SECRET not in redacted
    assert "known" in redacted


def _redact(system: str, text: str) -> str:
    if system in ("esql", "ppl"):
        return search.to_statement("POST", "/_query" if system == "esql" else "/_plugins/_ppl", [], {"query": text})
    return sanitize(text, system)[0]


def test_a_comment_of_a_piped_query_is_not_reported() -> None:
    redacted = search.to_statement("POST", "/_query", [], {"query": f'FROM t // {SECRET}\n| WHERE a == "//"'})
    assert redacted == "POST /_query FROM t | WHERE a == ?"


@given(st.text(max_size=200))
def test_rows_are_cut_out_of_any_text_without_an_error(text: str) -> None:
    for shown in (text, f"copy t from stdin;{text}", f"from stdin{text}"):
        assert len(strip_rows(shown)) <= len(shown)


@pytest.mark.parametrize("system", ["clickhouse", "nobodyknows", "spark", "bigquery", "snowflake"])
@pytest.mark.parametrize("unit", ["$$", "$a$", "'", "//", "/*", "--", '"""', 'r"', "q'[", "abcdef01-", "\\", "$", "#"])
def test_a_hostile_statement_costs_little(system: str, unit: str) -> None:
    text = unit * (65_536 // len(unit))
    spent: list[float] = []
    for _ in range(5):
        began = time.process_time()
        hide_literals(text, system)
        strip_rows(text)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.05  # on a busy machine; half of it on an idle one


@pytest.mark.parametrize("unit", ["from stdin ", "from stdin;", "from stdin;\n\\.\n", "from  "])
def test_a_hostile_script_costs_little(unit: str) -> None:
    text = unit * (65_536 // len(unit))
    spent: list[float] = []
    for _ in range(5):
        began = time.process_time()
        strip_rows(text)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.03


def test_an_address_in_a_name_hides_the_name() -> None:
    address = "user.ann.smith@mail.example"
    assert [amqp.redact_name(address), messaging.redact_destination(address)] == ["?", "?"]
    assert search.to_statement("PUT", "/u/_doc/1", [], {address: 1}) == "PUT /u/_doc/? {?:?}"
    assert amqp.redact_name("celery@host") == "celery@host"


def test_password_that_breaks_a_url_is_redacted_with_the_path() -> None:
    assert http.to_statement("GET", "http://u:abc/defghi@h/x") == "GET ?/?"
    assert http.to_statement("GET", "http://u:123/hunter2@host") == "GET ?/?"
    assert http.to_statement("GET", "http://u:123?hunter2@host") == "GET ?/?"
    assert http.redact_url("http://u:123#hunter2@host/x") == "http://?/?"
    assert http.to_statement("GET", "http://h:80/users/ann@example.com") == "GET ?/?"
    assert http.to_statement("GET", "http://h:81/users?q=ann@example.com") == "GET h:81/users"
    assert http.to_statement("GET", "http://[::1]:81/users/ann@example.com") == "GET [::1]:81/users/?"
    assert http.to_statement("GET", "http://h/@ann/x") == "GET h/?/x"


def test_tokens_of_letters_alone_are_no_names() -> None:
    assert mongo.to_statement({"find": "t", "filter": {"tTFSAqErpkwPozICjfMDIn": 1}}) == "find t filter:{?:?}"
    assert mongo.to_statement({"find": "t", "filter": {"deliveryAddressLine": 1}}) == (
        "find t filter:{deliveryAddressLine:?}"
    )
    assert search.to_path_template("/users,wtzn7it42af9kzn1-*/_count") == "/?-*,users/_count"
    assert search.to_path_template("/logs-2026.11.25/_search") == "/logs-?.?.?/_search"


def test_a_word_that_is_no_command_of_redis_is_no_operation() -> None:
    assert [redis.is_command_name(one) for one in ("SET", "ACL SETUSER", "JSON.GET", "HUNTER2", "ACL HUNTER2", "")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
