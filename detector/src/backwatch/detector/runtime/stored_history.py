"""Minutes and alerts that the store keeps, for ``backwatch backtest``."""

from collections.abc import Collection, Iterator
from typing import Final

import sqlalchemy as sa

from backwatch.detector.runtime.backtest import AlertHistory
from backwatch.store import tables
from backwatch.store.commit import Rollup
from backwatch.store.transactions import reading

ROWS_AT_ONCE: Final = 10_000
"""Minutes that are in memory at once."""


def read_rollups(store: sa.Engine) -> Iterator[Rollup]:
    """Yield the stored minutes, the oldest first."""
    query = sa.select(tables.rollup).order_by(tables.rollup.c.end_ns)
    with reading(store) as connection:
        found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)
        for row in found.mappings():
            yield Rollup(**row)


def read_labels(store: sa.Engine) -> dict[str, tuple[str, str]]:
    """Return app and label of each resource, by its id."""
    columns = tables.resource.c
    query = sa.select(columns.id, columns.app, columns.system, columns.endpoint, columns.namespace)
    with reading(store) as connection:
        return {
            row.id: (row.app, f"{row.system} {row.endpoint}" + (f"/{row.namespace}" if row.namespace else ""))
            for row in connection.execute(query)
        }


def read_alerts(store: sa.Engine, rules: Collection[str]) -> dict[str, AlertHistory]:
    """Return the stored alerts of these rules, by rule and resource, with the first and last time of each."""
    columns = tables.alert.c
    found: dict[str, AlertHistory] = {}
    with reading(store) as connection:
        query = sa.select(
            columns.rule, columns.level, columns.app, columns.resource, columns.key, columns.resource_id,
            columns.opened_ns, columns.last_ns,
        ).where(columns.rule.in_(sorted(rules)))  # fmt: skip
        for row in connection.execute(query):
            alert = AlertHistory(row.rule, row.level, row.app, row.resource, row.key)
            alert.times.extend(sorted({row.opened_ns, row.last_ns}))
            found[f"{row.rule} {row.resource_id}"] = alert
    return found
