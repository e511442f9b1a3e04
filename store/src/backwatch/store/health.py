"""Reads about Backwatch itself: how far its shards are, what was lost, what could not be delivered."""

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.processes import count_by_state
from backwatch.store.progress import read_progress
from backwatch.store.views import EndpointRow, Health, ShardRow


def shard_rows(connection: sa.Connection) -> list[ShardRow]:
    """Every shard, by number."""
    rows = connection.execute(sa.select(tables.shard).order_by(tables.shard.c.id)).mappings()
    return [ShardRow(**row) for row in rows]


def health(connection: sa.Connection) -> Health:
    """All of it at once."""
    return Health(
        shards=shard_rows(connection),
        losses=_counts(connection, "loss"),
        counters=_counts(connection, "counter"),
        quarantined=connection.scalar(sa.select(sa.func.count()).select_from(tables.quarantine)) or 0,
        last_entry=connection.scalar(sa.select(sa.func.max(tables.entry.c.id))) or 0,
        endpoints=_endpoints(connection),
        processes=count_by_state(connection),
        progress=read_progress(connection),
    )


def _counts(connection: sa.Connection, kind: str) -> dict[str, int]:
    table = tables.counter
    query = sa.select(table.c.name, sa.func.sum(table.c.value).label("total")).where(table.c.kind == kind)
    return {row.name: int(row.total) for row in connection.execute(query.group_by(table.c.name).order_by(table.c.name))}


def _endpoints(connection: sa.Connection) -> list[EndpointRow]:
    """Each endpoint with its deliveries, of which a month may be there.

    So they are counted in the index, by endpoint and state; only those that wait are read, and these are few.
    """
    table = tables.delivery
    rows = connection.execute(sa.select(tables.endpoint).order_by(tables.endpoint.c.name)).all()
    many, mine = sa.func.count().label("many"), table.c.endpoint.in_([row.name for row in rows])
    by_state = sa.select(table.c.endpoint, table.c.state, many).group_by(table.c.endpoint, table.c.state)
    counts = {(row.endpoint, row.state): int(row.many) for row in connection.execute(by_state.where(mine))}
    tried = sa.select(table.c.endpoint, many).where(mine, table.c.state == "pending", table.c.attempts > 0)
    failing = {row.endpoint: int(row.many) for row in connection.execute(tried.group_by(table.c.endpoint))}
    return [
        EndpointRow(
            name=row.name, disabled_ns=row.disabled_ns, reason=row.reason, failing=failing.get(row.name, 0),
            pending=counts.get((row.name, "pending"), 0), delivered=counts.get((row.name, "delivered"), 0),
            held=counts.get((row.name, "held"), 0),
            lost=counts.get((row.name, "rejected"), 0) + counts.get((row.name, "expired"), 0),
        )
        for row in rows
    ]  # fmt: skip
