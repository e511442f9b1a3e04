"""What people accepted on an alert, held against what it shows: its newest evidence, or its whole episode."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.store import tables
from backwatch.store.ring import SHOWN, get_shown_values
from backwatch.store.text import from_json


def cover(
    connection: sa.Connection,
    alert_id: str,
    episode: int,
    accepts: Sequence[str],
    values: Mapping[str, str],
    now_ns: int,
) -> bool:
    """Whether these values, and those accepted before, are all that the episode showed.

    Args:
        accepts: The facts that make up what is accepted on it; none: that its rule fires.
        values: What is accepted now, by contract name.
    """
    if not accepts:
        return True
    table = tables.occurrence
    query = sa.select(table.c.evidence).where(table.c.alert_id == alert_id, table.c.episode == episode)
    found = {get_shown_values(from_json(text), accepts) or () for text in connection.scalars(query)}
    if len(found) >= SHOWN:  # of more than that many the first may not have been kept
        return False
    held = [values, *_list_held(connection, alert_id, now_ns)]
    return all(any(_within(shown, other, accepts) for other in held) for shown in found)


def holds(
    connection: sa.Connection, alert_id: str, accepts: Sequence[str], evidence: Mapping[str, Any], now_ns: int
) -> bool:
    """Whether an acceptance on this alert holds for what its evidence shows.

    Args:
        accepts: The facts that make up what is accepted on it; none: that its rule fires.
    """
    shown = get_shown_values(evidence, accepts) or ()
    return any(_within(shown, other, accepts) for other in _list_held(connection, alert_id, now_ns))


def _within(shown: Sequence[str], accepted: Mapping[str, str] | None, accepts: Sequence[str]) -> bool:
    """Whether this was accepted: the same texts, and no node that was not among the accepted ones."""
    return accepted is None or all(
        set(mine.split(",")) <= set(theirs.split(",")) if name == names.TOPOLOGY else mine == theirs
        for name, mine, theirs in zip(accepts, shown, get_shown_values(accepted, accepts) or (), strict=True)
    )


def _list_held(connection: sa.Connection, alert_id: str, now_ns: int) -> list[Mapping[str, str] | None]:
    """The values of each acceptance on this alert that holds; ``None``: entered before they held for values."""
    decision, entry = tables.decision, tables.entry
    query = (
        sa.select(decision.c.kind, decision.c.until_ns, entry.c.body)
        .join(entry, entry.c.id == decision.c.entry_id)
        .where(decision.c.alert_id == alert_id, decision.c.kind.in_(("accept", "revoke")))
        .order_by(decision.c.entry_id)
    )
    held: list[Mapping[str, str] | None] = []
    for row in connection.execute(query):
        if row.kind == "revoke":
            held.clear()
        elif not row.until_ns or row.until_ns > now_ns:
            held.append(from_json(row.body).get("values"))
    return held
