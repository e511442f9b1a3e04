"""Reads about resources: what is attached, what is open about it, and its sums over time."""

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.commit import Rollup
from backwatch.store.state import state_at
from backwatch.store.text import LEVELS, clean, from_json
from backwatch.store.views import ResourceRow

_LIMIT = 5_000


def list_resources(connection: sa.Connection, *, app: str = "", now_ns: int | None = None) -> list[ResourceRow]:
    """The resources, by app, system and endpoint; 5 000 at most: those with open alerts, then those seen last."""
    table = tables.resource
    query = _resources(now_ns)
    if app:
        query = query.where(table.c.app == clean(app))
    first = sa.case((sa.column("alerts") > 0, 0), else_=1)
    query = sa.select(query.subquery())
    query = query.order_by(first, sa.column("last_ns").desc(), sa.column("id")).limit(_LIMIT)
    rows = [_resource_row(row) for row in connection.execute(query).mappings()]
    return sorted(rows, key=lambda row: (row.app, row.system, row.endpoint, row.namespace, row.id))


def get_resource(connection: sa.Connection, resource_id: str, *, now_ns: int | None = None) -> ResourceRow | None:
    """One resource."""
    resource_id = clean(resource_id, 64)
    query = _resources(now_ns, tables.alert.c.resource_id == resource_id).where(tables.resource.c.id == resource_id)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _resource_row(found)


def systems(connection: sa.Connection) -> set[str]:
    """Every kind of service that an app was seen to use."""
    return set(connection.scalars(sa.select(tables.resource.c.system).distinct()))


def rollup_series(
    connection: sa.Connection, resource_id: str, since_ns: int, until_ns: int, *, limit: int = 10_000
) -> list[Rollup]:
    """A resource's closed windows with ``since_ns <= end < until_ns``, oldest first; the newest ``limit`` of them."""
    table = tables.rollup
    query = (
        sa.select(table)
        .where(table.c.resource_id == clean(resource_id, 64), table.c.end_ns >= since_ns, table.c.end_ns < until_ns)
        .order_by(table.c.end_ns.desc())
        .limit(limit)
    )
    return [Rollup(**row) for row in connection.execute(query).mappings()][::-1]


def _resources(now_ns: int | None, *alerts: "sa.ColumnElement[bool]") -> "sa.Select[Any]":
    """Resources with what is open about each, counted among these alerts: for one, its own are enough."""
    table, alert = tables.resource, tables.alert
    is_open = state_at(time.time_ns() if now_ns is None else now_ns).in_(("open", "acknowledged"))
    found = (
        sa.select(
            alert.c.resource_id, sa.func.count().label("alerts"), sa.func.max(alert.c.level_rank).label("worst_rank")
        )
        .where(is_open, *alerts)
        .group_by(alert.c.resource_id)
        .subquery()
    )
    columns = (
        sa.func.coalesce(found.c.alerts, 0).label("alerts"),
        sa.func.coalesce(found.c.worst_rank, -1).label("rank"),
    )
    return sa.select(table, *columns).select_from(table.outerjoin(found, found.c.resource_id == table.c.id))


def _resource_row(row: Mapping[Any, Any]) -> ResourceRow:
    return ResourceRow(
        **{column.name: row[column.name] for column in tables.resource.columns if column.name != "facts"},
        facts=from_json(row["facts"]), alerts=row["alerts"], worst=LEVELS[row["rank"]] if row["rank"] >= 0 else "",
    )  # fmt: skip
