"""Which errors of a database are a value's fault, and what is noted of a shard that is loaded again and again."""

from collections.abc import Mapping, Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from backwatch.store import attempts, tables
from backwatch.store.attempts import NO_OFFSET, Attempts
from backwatch.store.connect import StoreUnavailable, is_refused
from backwatch.store.transactions import reading, writing


def catch_refusal(
    store: sa.Engine, statement: sa.Executable, values: Sequence[Mapping[str, object]] = ()
) -> DBAPIError:
    """Return what the database raises for a statement."""
    try:
        with writing(store) as connection:
            connection.execute(statement, list(values) or None)
    except DBAPIError as error:
        return error
    raise AssertionError("it was taken")


def test_refused_value_is_distinguished_from_an_outage(store: sa.Engine) -> None:
    meta = tables.meta
    row = {"name": "one", "value": b"1"}
    with writing(store) as connection:
        connection.execute(sa.insert(meta), [row])
    assert is_refused(catch_refusal(store, sa.insert(meta), [row]))
    assert is_refused(catch_refusal(store, sa.insert(meta), [{"name": "two", "value": None}]))
    assert not is_refused(catch_refusal(store, sa.text("SELECT nothing FROM no_such_table")))
    if store.dialect.name == "postgresql":
        assert is_refused(catch_refusal(store, sa.insert(meta), [{"name": "nul\x00", "value": b""}]))
        assert is_refused(catch_refusal(store, sa.text("SELECT 1 / 0")))
        with pytest.raises(StoreUnavailable):
            catch_refusal(store, sa.text("SET LOCAL statement_timeout = 50; SELECT pg_sleep(20)"))
    else:
        assert is_refused(catch_refusal(store, sa.text("SELECT :one"), [{"one": object()}]))


def test_loads_and_tries_are_counted_until_the_shard_commits(store: sa.Engine) -> None:
    def load(seq: int) -> Attempts:
        with reading(store) as connection:
            found = attempts.read(connection, 3, seq)
        return attempts.count_load(store, 3, found)

    assert load(7) == Attempts(seq=7, loads=1, offset=NO_OFFSET)
    before = load(7)
    assert before.loads == 2
    for tries in (1, 2):
        begun = attempts.begin(store, 3, before, seq=7, offset=40)
        assert (begun.offset, begun.tries) == (40, tries)
        before = load(7)
        assert before == Attempts(seq=7, loads=2 + tries, offset=40, tries=tries)
    assert attempts.begin(store, 3, before, seq=7, offset=41).tries == 1
    attempts.end(store, 3, before)
    before = load(7)
    assert (before.loads, before.offset, before.tries) == (5, NO_OFFSET, 0)
    assert attempts.begin(store, 3, before, seq=8, offset=40).tries == 1
    assert load(9) == Attempts(seq=9, loads=1, offset=NO_OFFSET)
    with reading(store) as connection:
        assert attempts.read(connection, 3, 9).loads == 1
        assert attempts.read(connection, 4, 7).loads == 0
