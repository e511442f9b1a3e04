"""Profiles as they were entered: each a numbered entry that takes the place of its app's one before."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backwatch.store import entries, models, tables
from backwatch.store.text import as_json, from_json
from backwatch.store.transactions import writing


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """The profile of one app that holds now.

    Attributes:
        entry_id: The number under which it was entered.
        sha256: Hash of its contents.
        announced: What is announced, per resource: ``resource``, ``reason``, and lists of values by kind.
        enforced: SHA-256 of the enforced document (see :func:`get_enforced`); empty: nothing is enforced.
    """

    app: str
    entry_id: int
    sha256: str
    announced: Sequence[Mapping[str, Any]]
    by: str
    at_ns: int
    enforced: str = ""


def enter(
    engine: sa.Engine,
    app: str,
    announced: Sequence[Mapping[str, Any]],
    *,
    sha256: str,
    by: str,
    now_ns: int,
    enforced: Mapping[str, Any] | None = None,
) -> tuple[int, bool]:
    """Enters an app's profile; gives its number, and whether it is a new one: the same one is not entered again.

    Args:
        engine: The store.
        app: As alerts show it.
        announced: What is announced from now on.
        sha256: Hash of the document.
        by: The author.
        now_ns: Wall time.
        enforced: The document that is enforced from now on; without entries: none; ``None``: as before.

    Raises:
        ValueError: The store cannot keep it as it is.
    """
    body: dict[str, Any] = {"app": app, "sha256": sha256, "announced": list(announced)}
    blob = json.dumps(enforced, sort_keys=True).encode() if enforced else b""
    if enforced is not None:
        body["enforced"] = hashlib.sha256(blob).hexdigest() if blob else ""
    if from_json(as_json(body, entries.BODY_LIMIT)) != body:
        raise ValueError("this profile holds text, or so much of it, that no store can keep as it is")
    with writing(engine) as connection:
        before = read_current(connection, app)
        same = before and before[0].sha256 == sha256 and body.get("enforced", before[0].enforced) == before[0].enforced
        if same:
            return before[0].entry_id, False
        if blob:
            models.put_model(connection, blob, now_ns=now_ns)  # kept by its hash beside the models: too long for a body
        return entries.append(connection, "profile", body, now_ns, by), True


def get_enforced(connection: sa.Connection, sha256: str) -> Mapping[str, Any]:
    """The enforced document of that hash; empty for the empty hash.

    Raises:
        LookupError: There is none, or it is no longer what was entered.
    """
    return json.loads(models.get_model(connection, sha256)) if sha256 else {}


def read_current(connection: sa.Connection, app: str = "") -> list[ProfileRow]:
    """The profile of each app that holds now, by app; only one app's where ``app`` names it."""
    table = tables.entry
    query = sa.select(table).where(table.c.kind == "profile").order_by(table.c.id)
    found: dict[str, ProfileRow] = {}
    for row in connection.execute(query):
        body = from_json(row.body)
        name = str(body.get("app", ""))
        if not app or name == app:
            before = found.get(name)
            found[name] = ProfileRow(
                app=name, entry_id=row.id, sha256=str(body.get("sha256", "")), announced=body.get("announced") or [],
                by=row.by, at_ns=row.at_ns, enforced=str(body.get("enforced", before.enforced if before else "")),
            )  # fmt: skip
    return [found[name] for name in sorted(found)]
