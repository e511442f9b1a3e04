"""Whether what people accepted on an alert is all that its present episode showed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.store import rules_meta, tables
from backwatch.store.ring import SHOWN, shown
from backwatch.store.text import from_json


def cover(
    connection: sa.Connection, alert_id: str, alert: "sa.Row[Any]", values: Mapping[str, str], now_ns: int
) -> bool:
    """Whether these values, and those accepted before, are all that the episode showed.

    Args:
        alert: With ``rule`` and ``episode``.
        values: What is accepted now, by contract name.
    """
    rule = rules_meta.read_rule(connection, alert.rule)
    if rule is None or not rule.accepts:
        return True
    table = tables.occurrence
    query = sa.select(table.c.evidence).where(table.c.alert_id == alert_id, table.c.episode == alert.episode)
    found = {shown(from_json(text), rule.accepts) or () for text in connection.scalars(query)}
    accepted = {shown(one, rule.accepts) or () for one in (values, *_before(connection, alert_id, now_ns))}
    if len(found) >= SHOWN:  # of more than that many the first may not have been kept
        return False
    return all(any(_within(one, other, rule.accepts) for other in accepted) for one in found)


def _within(one: Sequence[str], accepted: Sequence[str], of: Sequence[str]) -> bool:
    """Whether this was accepted: the same texts, and no node that was not among the accepted ones."""
    return all(
        set(mine.split(",")) <= set(theirs.split(",")) if name == names.TOPOLOGY else mine == theirs
        for name, mine, theirs in zip(of, one, accepted, strict=True)
    )


def _before(connection: sa.Connection, alert_id: str, now_ns: int) -> Iterator[Mapping[str, str]]:
    """The values of each acceptance on this alert that holds."""
    said, entry = tables.decision, tables.entry
    query = (
        sa.select(said.c.kind, said.c.until_ns, entry.c.body)
        .join(entry, entry.c.id == said.c.entry_id)
        .where(said.c.alert_id == alert_id, said.c.kind.in_(("accept", "revoke")))
        .order_by(said.c.entry_id)
    )
    held: list[Mapping[str, str]] = []
    for row in connection.execute(query):
        if row.kind == "revoke":
            held.clear()
        elif not row.until_ns or row.until_ns > now_ns:
            held.append(from_json(row.body).get("values") or {})
    yield from held
