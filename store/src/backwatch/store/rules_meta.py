"""Metadata of the rules, written by the detector at its start, read by dashboard and notify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.connect import writing
from backwatch.store.text import as_json, clean, from_json
from backwatch.store.upsert import insert_or_replace

_TEXTS = ("title", "level", "description", "blind_spots", "remediation")
_LISTS = ("tags", "falsepositives", "references")
_TEXT_LIMIT = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMeta:
    """What people need to know of a rule. Level, tags, blind spots and remediation stand nowhere else."""

    name: str
    title: str
    level: str
    tags: tuple[str, ...] = ()
    description: str = ""
    blind_spots: str = ""
    remediation: str = ""
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def write_rules(engine: sa.Engine, rows: Sequence[Mapping[str, Any]]) -> None:
    """Makes the store know these rules and no others.

    Args:
        engine: The store.
        rows: Mappings by the names of :class:`RuleMeta`'s attributes.
    """
    values = [
        {
            "name": clean(str(row["name"]), 200),
            **{name: clean(str(row.get(name) or ""), 16 if name == "level" else _TEXT_LIMIT) for name in _TEXTS},
            **{name: as_json([str(one) for one in row.get(name) or ()]) for name in _LISTS},
        }
        for row in sorted(rows, key=lambda row: str(row["name"]))
    ]
    table = tables.rule
    with writing(engine) as connection:
        insert_or_replace(connection, table, values)
        connection.execute(sa.delete(table).where(table.c.name.not_in([row["name"] for row in values])))


def read_rules(connection: sa.Connection) -> list[RuleMeta]:
    """Every rule, by name."""
    rows = connection.execute(sa.select(tables.rule).order_by(tables.rule.c.name)).mappings()
    return [rule_meta(row) for row in rows]


def rule_meta(row: Mapping[Any, Any]) -> RuleMeta:
    """A rule from its row."""
    return RuleMeta(
        name=row["name"], title=row["title"], level=row["level"], tags=tuple(from_json(row["tags"])),
        description=row["description"], blind_spots=row["blind_spots"], remediation=row["remediation"],
        falsepositives=tuple(from_json(row["falsepositives"])), references=tuple(from_json(row["references"])),
    )  # fmt: skip
