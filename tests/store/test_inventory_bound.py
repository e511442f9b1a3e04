"""The inventory of resources is bounded: what an app invents goes first, and what lasts stays."""

import pytest
import sqlalchemy as sa

from backwatch.store import prune, tables
from backwatch.store.commit import ResourceActivity
from backwatch.store.prune import DAY_NS
from backwatch.store.transactions import reading
from tests.services.commits import Owner


def make_activity(name: str, first_ns: int, last_ns: int) -> ResourceActivity:
    return ResourceActivity(resource_id=name, app="shop", system="postgresql", endpoint=name, namespace="",
                            first_ns=first_ns, last_ns=last_ns, calls=1, errors=0, facts={})  # fmt: skip


def test_resources_beyond_the_number_go_and_those_that_lasted_stay(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "MAX_RESOURCES", 20)
    monkeypatch.setattr(prune, "_BITE", 7)
    lasting = [make_activity(f"known-{i}", 1, 2 * DAY_NS) for i in range(10)]
    invented = [make_activity(f"new-{i:03}", 3 * DAY_NS + i, 3 * DAY_NS + i) for i in range(100)]
    Owner(store).commit(seen=[*lasting, *invented])
    assert prune.prune(store, 4 * DAY_NS)["resource"] == 90
    with reading(store) as connection:
        left = set(connection.scalars(sa.select(tables.resource.c.id)))
    assert left == {one.resource_id for one in (*lasting, *invented[-10:])}
