"""Without a setting, names of columns are reported with each call of their statement; values are not read."""

import sqlite3
from collections.abc import Iterator

import pytest

from backwatch.collector import names
from backwatch.collector.exposure import observation
from backwatch.collector.exposure.mode import set_mode
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from tests.collector.memory_stream import deliver

CARD = "4111 1111 1111 1111"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    observation.forget()
    yield
    observation.forget()
    set_mode("columns")


def run(mode: str = "") -> list[tuple[str, str, str]]:
    """Return operation, kinds received and kinds sent of the app's calls."""
    with deliver(SQLiteProbe) as stream:
        if mode:
            set_mode(mode)
        with sqlite3.connect(":memory:") as connection:
            connection.execute("CREATE TABLE t(email, iban, note)")
            connection.execute("INSERT INTO t(email, note) VALUES (?, ?)", ("x", CARD))
            connection.execute("SELECT iban, note FROM t WHERE email = ?", ("x",)).fetchall()
            connection.execute("SELECT * FROM t").fetchall()
            connection.execute("SELECT count(*) FROM t").fetchall()
    return [
        (call["name"], call.get(names.DATA_RECEIVED, ""), call.get(names.DATA_SENT, ""))
        for call in stream.calls()
        if call["name"] in ("INSERT", "SELECT", "FETCH")
    ]


def test_names_of_columns_are_reported() -> None:
    assert run() == [
        ("INSERT", "", "email"), ("SELECT", "iban", "email"), ("FETCH", "iban", "email"), ("SELECT", "", ""),
        ("FETCH", "email,iban", ""), ("SELECT", "", ""), ("FETCH", "", ""),
    ]  # fmt: skip


def test_values_are_added_to_names() -> None:
    assert run("values") == [
        ("INSERT", "", "email,card"), ("SELECT", "iban", "email"), ("FETCH", "card,iban", "email"), ("SELECT", "", ""),
        ("FETCH", "email,card,iban", ""), ("SELECT", "", ""), ("FETCH", "", ""),
    ]  # fmt: skip


def test_nothing_is_reported_where_it_is_off() -> None:
    assert {kinds for _, *both in run("off") for kinds in both} == {""}
