"""Rows that the detector's services write to the store."""

from typing import Any

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.transactions import reading


def alerts(store: sa.Engine, rule: str) -> list[Any]:
    with reading(store) as connection:
        return list(connection.execute(sa.select(tables.alert).where(tables.alert.c.rule == rule)))
