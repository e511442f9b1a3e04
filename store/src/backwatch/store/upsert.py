"""INSERT … ON CONFLICT for either engine: the same call, the same meaning."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from backwatch.store import tables

Insert = postgresql.Insert | sqlite.Insert


def insert(connection: sa.Connection, table: sa.Table) -> Insert:
    """An INSERT that knows ``on_conflict_do_update`` in the dialect of this connection."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def total(there: "sa.ColumnElement[int]", more: "sa.ColumnElement[int]") -> "sa.ColumnElement[int]":
    """The sum of two amounts, or the most that a column takes: one that overflows would refuse its commit for ever."""
    return sa.case((there > tables.FOREVER - more, tables.FOREVER), else_=there + more)


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those rows whose key is not there yet."""
    if rows:
        connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)


def insert_or_replace(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows; where the key is there already, every other column takes the new value."""
    if rows:
        statement = insert(connection, table)
        others = {name: statement.excluded[name] for name in rows[0] if name not in table.primary_key.columns}
        connection.execute(
            statement.on_conflict_do_update(index_elements=[*table.primary_key.columns], set_=others), rows
        )


def insert_or_add(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *added: str) -> None:
    """Inserts the rows; where the key is there already, the named columns are added up."""
    if rows:
        statement = insert(connection, table)
        sums = {name: total(table.c[name], statement.excluded[name]) for name in added}
        connection.execute(
            statement.on_conflict_do_update(index_elements=[*table.primary_key.columns], set_=sums), rows
        )
