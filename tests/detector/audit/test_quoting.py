"""Names of any characters reach a script as one name, or not at all."""

import json
import shlex
import subprocess
from collections.abc import Callable

import psycopg
import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymysql.constants import CLIENT

from backwatch.detector.audit.quoting import (
    UnsafeName,
    escape_line,
    is_plain,
    quote_json,
    quote_mysql,
    quote_mysql_pattern,
    quote_postgresql,
    quote_shell,
)
from tests.services.server import Server

HOSTILE = (
    'a"; DROP TABLE users; --', "a'b", "a`b", "`; DROP DATABASE x; -- ", "a\\", 'a\\"', "a\nb", "a\r; GRANT ALL",
    "UPPER case", "ünï", "\u202egnp", "a\u2028b", "\x1b[2J", "$(id)", "a b;id", "--x", "'; id; '", "%", "a_b",
    "*", " a", "a ", "😀",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30), st.text("\"'`;\\-\n $()_%", min_size=1, max_size=12)
)


def quote(how: Callable[[str], str], name: str) -> str | None:
    """Return the quoted name; ``None``: it was refused."""
    try:
        return how(name)
    except UnsafeName:
        return None


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=1, max_size=20))
def test_postgresql_reads_each_name_as_it_was(postgresql: Server, names: list[str]) -> None:
    quoted = {name: quote(quote_postgresql, name) for name in names if len(name.encode("utf-8", "replace")) < 60}
    written = {name: text for name, text in quoted.items() if text is not None}
    if not written:
        return
    with psycopg.connect(postgresql.url) as connection:
        cursor = connection.execute(("SELECT " + ", ".join(f"1 AS {text}" for text in written.values())).encode())

        assert [column.name for column in cursor.description or ()] == list(written)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(NAMES, min_size=1, max_size=20), mode=st.sampled_from(("", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"))
)
def test_mariadb_reads_each_name_as_it_was(mariadb: Server, names: list[str], mode: str) -> None:
    quoted = {name: quote(quote_mysql, name) for name in names}
    # MariaDB cuts spaces at the beginning of an alias, not of a table's name.
    written = {name: text for name, text in quoted.items() if text is not None and name == name.strip()}
    if not written:
        return
    with pymysql.connect(
        host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password, charset="utf8mb4",
        client_flag=CLIENT.MULTI_STATEMENTS, init_command=f"SET sql_mode = '{mode}'",
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("SELECT " + ", ".join(f"1 AS {text}" for text in written.values()))

        assert [column[0].replace("\ufffd", "?") for column in cursor.description or ()] == list(written)


@given(NAMES)
def test_the_shell_reads_each_name_as_one_argument(name: str) -> None:
    text = quote(quote_shell, name)

    assert text is None or shlex.split(text) == [name]


def test_a_real_shell_runs_nothing_of_a_name() -> None:
    written = [text for name in HOSTILE if (text := quote(quote_shell, name)) is not None]

    ran = subprocess.run(["sh", "-c", "printf '%s\\n' " + " ".join(written)], capture_output=True, text=True)

    assert ran.stdout.splitlines() == [name for name in HOSTILE if is_plain(name)]


@given(NAMES)
def test_json_is_ascii_and_the_same_text(name: str) -> None:
    text = quote_json(name)

    assert text.isascii()
    assert is_plain(text)
    assert json.loads(text) == name


@given(st.text(max_size=400))
def test_a_comment_stays_on_its_line(text: str) -> None:
    shown = escape_line(text)

    assert is_plain(shown)
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_a_name_that_no_server_holds_is_refused(name: str) -> None:
    with pytest.raises(UnsafeName):
        quote_postgresql(name)


def test_a_database_is_no_pattern() -> None:
    assert quote_mysql_pattern("a_b%") == "`a\\_b\\%`"
