"""Profiles as they were entered: each a numbered entry that takes the place of its app's one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backwatch.store import entries, tables
from backwatch.store.text import as_json, from_json
from backwatch.store.transactions import writing


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """The profile of one app that holds now.

    Attributes:
        entry_id: The number under which it was entered.
        sha256: Hash of its contents.
        announced: What is announced, per resource: ``resource``, ``reason``, and lists of values by kind.
    """

    app: str
    entry_id: int
    sha256: str
    announced: Sequence[Mapping[str, Any]]
    by: str
    at_ns: int


def enter(
    engine: sa.Engine, app: str, announced: Sequence[Mapping[str, Any]], *, sha256: str, by: str, now_ns: int
) -> tuple[int, bool]:
    """Enters an app's profile; gives its number, and whether it is a new one: the same one is not entered again.

    Raises:
        ValueError: The store cannot keep it as it is.
    """
    body = {"app": app, "sha256": sha256, "announced": list(announced)}
    if from_json(as_json(body, entries.BODY_LIMIT)) != body:
        raise ValueError("this profile holds text, or so much of it, that no store can keep as it is")
    with writing(engine) as connection:
        before = read_current(connection, app)
        if before and before[0].sha256 == sha256:
            return before[0].entry_id, False
        return entries.append(connection, "profile", body, now_ns, by), True


def read_current(connection: sa.Connection, app: str = "") -> list[ProfileRow]:
    """The profile of each app that holds now, by app; only one app's where ``app`` names it."""
    table = tables.entry
    query = sa.select(table).where(table.c.kind == "profile").order_by(table.c.id)
    found: dict[str, ProfileRow] = {}
    for row in connection.execute(query):
        body = from_json(row.body)
        name = str(body.get("app", ""))
        if not app or name == app:
            found[name] = ProfileRow(
                app=name, entry_id=row.id, sha256=str(body.get("sha256", "")), announced=body.get("announced") or [],
                by=row.by, at_ns=row.at_ns,
            )  # fmt: skip
    return [found[name] for name in sorted(found)]
