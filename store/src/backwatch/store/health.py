"""Reads about Backwatch itself: how far its shards are, what was lost, what could not be delivered."""

import sqlalchemy as sa

from backwatch.store import tables
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
    )


def _counts(connection: sa.Connection, kind: str) -> dict[str, int]:
    table = tables.counter
    query = sa.select(table.c.name, sa.func.sum(table.c.value).label("total")).where(table.c.kind == kind)
    return {row.name: int(row.total) for row in connection.execute(query.group_by(table.c.name).order_by(table.c.name))}


def _endpoints(connection: sa.Connection) -> list[EndpointRow]:
    table, endpoint = tables.delivery, tables.endpoint

    def many(condition: "sa.ColumnElement[bool]") -> "sa.ColumnElement[int]":
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    pending = table.c.state == "pending"
    query = (
        sa.select(
            endpoint.c.name, endpoint.c.disabled_ns, endpoint.c.reason,
            many(pending).label("pending"), many(pending & (table.c.attempts > 0)).label("failing"),
            many(table.c.state == "delivered").label("delivered"),
            many(table.c.state.in_(("rejected", "expired"))).label("lost"),
        )
        .select_from(endpoint.outerjoin(table, table.c.endpoint == endpoint.c.name))
        .group_by(endpoint.c.name, endpoint.c.disabled_ns, endpoint.c.reason)
        .order_by(endpoint.c.name)
    )  # fmt: skip
    return [EndpointRow(**row) for row in connection.execute(query).mappings()]
