"""Metadata of the rules, written by the detector at its start, read by dashboard and notify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.text import as_json, clean, from_json
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert_or_replace

_TEXTS: Final = ("title", "level", "description", "blind_spots", "remediation")
_LISTS: Final = ("tags", "falsepositives", "references")
_PAGE: Final = (
    "how", "fires_on", "evidence", "parameters", "not", "attack", "techniques", "instead_of", "accepts",
    "escalates",
)  # fmt: skip
_TEXT_LIMIT: Final = 8_000
_PAGE_LIMIT: Final = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverLine:
    """The configuration of one driver.

    Attributes:
        systems: Kinds of service as the contract names them.
        code: A line of Python.
    """

    systems: tuple[str, ...]
    driver: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverLines:
    """What mends it, driver by driver."""

    title: str
    note: str
    lines: tuple[DriverLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """A technique of ATT&CK.

    Attributes:
        name: Empty where the detector does not know it.
        later: What a later version calls it; empty: the same.
    """

    id: str
    name: str
    later: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMeta:
    """What people need to know of a rule. Level, tags, blind spots and remediation stand nowhere else.

    Attributes:
        how: How it is done to an app, one way after the other; ``fires_on`` and ``silent_on`` are names of examples.
        evidence: Fields to look at, each with its meaning.
        attack: The version of ATT&CK that ``techniques`` are of.
        instead_of: Rules that raise nothing where this one fires.
        escalates: The rule whose alert it raises to its own level; empty: it raises its own.
        accepts: Facts, as evidence shows them, that make up what is accepted on its alerts; empty: that it fires.
    """

    name: str
    title: str
    level: str
    tags: tuple[str, ...] = ()
    description: str = ""
    blind_spots: str = ""
    remediation: str = ""
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    how: tuple[str, ...] = ()
    fires_on: tuple[str, ...] = ()
    silent_on: tuple[str, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()
    parameters: tuple[DriverLines, ...] = ()
    attack: str = ""
    techniques: tuple[Technique, ...] = ()
    instead_of: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    escalates: str = ""


def write_rules(engine: sa.Engine, rows: Sequence[Mapping[str, Any]]) -> None:
    """Makes the store know these rules and no others.

    Args:
        engine: The store.
        rows: Mappings as the detector's rule book makes them: by the names of the columns, and of a page's contents.
    """
    values = [
        {
            "name": clean(str(row["name"]), 200),
            **{name: clean(str(row.get(name) or ""), 16 if name == "level" else _TEXT_LIMIT) for name in _TEXTS},
            **{name: as_json([str(item) for item in row.get(name) or ()]) for name in _LISTS},
            "page": as_json({name: row[name] for name in _PAGE if row.get(name)}, _PAGE_LIMIT),
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


def read_rule(connection: sa.Connection, name: str) -> RuleMeta | None:
    """The rule of this name; ``None``: there is none, or no more."""
    query = sa.select(tables.rule).where(tables.rule.c.name == clean(name, 200))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else rule_meta(row)


def find_escalation(connection: sa.Connection, name: str, level: str) -> RuleMeta | None:
    """The rule that raises alerts of this rule to this level, where it is above the rule's own."""
    table = tables.rule
    query = sa.select(table).where(table.c.level == level, table.c.page.contains('"escalates"')).order_by(table.c.name)
    found = (rule_meta(row) for row in connection.execute(query).mappings())
    return next((rule for rule in found if rule.escalates == name), None)


def rule_meta(row: Mapping[Any, Any]) -> RuleMeta:
    """A rule from its row."""
    page: dict[str, Any] = from_json(row["page"])
    return RuleMeta(
        name=row["name"], title=row["title"], level=row["level"], tags=tuple(from_json(row["tags"])),
        description=row["description"], blind_spots=row["blind_spots"], remediation=row["remediation"],
        falsepositives=tuple(from_json(row["falsepositives"])), references=tuple(from_json(row["references"])),
        how=tuple(page.get("how", ())), fires_on=tuple(page.get("fires_on", ())), silent_on=tuple(page.get("not", ())),
        evidence=tuple((fact["field"], fact["meaning"]) for fact in page.get("evidence", ())),
        parameters=tuple(_driver_lines(parameter) for parameter in page.get("parameters", ())),
        attack=page.get("attack", ""),
        techniques=tuple(Technique(**technique) for technique in page.get("techniques", ())),
        instead_of=tuple(page.get("instead_of", ())), accepts=tuple(page.get("accepts", ())),
        escalates=page.get("escalates", ""),
    )  # fmt: skip


def _driver_lines(parameter: Mapping[str, Any]) -> DriverLines:
    lines = (
        DriverLine(systems=tuple(line["systems"]), driver=line["driver"], code=line["code"])
        for line in parameter["lines"]
    )
    return DriverLines(title=parameter["title"], note=parameter["note"], lines=tuple(lines))
