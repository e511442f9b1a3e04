"""Stores from before the prefix: their tables were called ``alert``, ``event`` … and shared ``alembic_version``.

Such a store is recognised by the columns of its tables, not by their names alone, for an app may have a table ``alert``
of its own. Its revision is read from the tables too: the row in ``alembic_version`` may be an app's.
"""

import re
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store.tables import PREFIX

_ALEMBIC_TABLE: Final = "alembic_version"
_FIRST: Final = (
    "meta", "shard", "shard_snapshot", "shard_delta", "counter", "entry_number", "entry", "alert", "occurrence",
    "episode", "decision", "event", "endpoint", "delivery", "resource", "rollup", "quarantine", "rule", "model",
)  # fmt: skip
"""Tables of revision 0001."""
_PROGRESS: Final = "partition_progress"
"""Table of revision 0005, the last one without the prefix."""
_MARKS: Final = {
    "shard": {"id", "seq", "next_offset", "watermark_ns", "entry_id", "updated_ns"},
    "shard_snapshot": {"shard", "seq", "blob"},
    "entry_number": {"id", "last"},
    "quarantine": {"topic", "partition_id", "record_offset", "reason", "value", "appended_ns", "kept_ns"},
}
"""Columns by which the tables are recognised."""


def find_legacy_revision(connection: sa.Connection) -> str | None:
    """The revision of a store whose tables bear no prefix; ``None`` where there is none in this schema."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    if not there.issuperset(_FIRST) or any(_columns(inspector, name) != marks for name, marks in _MARKS.items()):
        return None
    if _PROGRESS in there and "consumer_group" in _columns(inspector, _PROGRESS):
        return "0005"
    if any(index["name"] == "ix_alert_level_state" for index in inspector.get_indexes("alert")):
        return "0004"
    if "served_ns" in _columns(inspector, "endpoint"):
        return "0003"
    return "0002" if "page" in _columns(inspector, "rule") else "0001"


def rename_legacy_tables(connection: sa.Connection, revision: str) -> None:
    """Give the tables of this legacy store their prefix, and withdraw its row from the shared ``alembic_version``.

    Data stay where they are. A row of another revision belongs to an app and stays, and so does the table itself: an
    empty one is to Alembic as none.
    """
    inspector = sa.inspect(connection)
    names = [*_FIRST, *([_PROGRESS] if revision == "0005" else ())]
    on_postgresql = connection.dialect.name == "postgresql"
    indexes = {name: inspector.get_indexes(name) for name in names}
    constraints = {name: _constraints(inspector, name) for name in names} if on_postgresql else {}
    for name in names:
        connection.exec_driver_sql(f'ALTER TABLE "{name}" RENAME TO "{PREFIX}{name}"')
        for constraint in constraints.get(name, ()):
            connection.exec_driver_sql(
                f'ALTER TABLE "{PREFIX}{name}" RENAME CONSTRAINT "{constraint}" TO "{_add_prefix(constraint)}"'
            )
        for index in indexes[name]:
            _rename_index(connection, name, index)
    if inspector.has_table(_ALEMBIC_TABLE):
        row = sa.table(_ALEMBIC_TABLE, sa.column("version_num"))
        connection.execute(sa.delete(row).where(row.c.version_num == revision))


def _columns(inspector: sa.Inspector, table: str) -> set[str]:
    return {column["name"] for column in inspector.get_columns(table)}


def _constraints(inspector: sa.Inspector, table: str) -> list[str]:
    found = [inspector.get_pk_constraint(table)["name"], *(key["name"] for key in inspector.get_foreign_keys(table))]
    return [name for name in found if name]


def _rename_index(connection: sa.Connection, table: str, index: Any) -> None:
    new = _add_prefix(index["name"])
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f'ALTER INDEX "{index["name"]}" RENAME TO "{new}"')
    else:  # SQLite cannot rename an index
        connection.exec_driver_sql(f'DROP INDEX "{index["name"]}"')
        columns = ", ".join(f'"{column}"' for column in index["column_names"])
        connection.exec_driver_sql(f'CREATE INDEX "{new}" ON "{PREFIX}{table}" ({columns})')


def _add_prefix(name: str) -> str:
    return re.sub("^(pk|fk|ix)_", rf"\1_{PREFIX}", name)
