"""Fixtures of a store of a test's own, on each engine. A ``conftest.py`` imports them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.store.connect import open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty place for a store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return request.getfixturevalue("postgresql_database")


@pytest.fixture
def store(store_url: str) -> Iterator[sa.Engine]:
    """An open store."""
    engine = open_store(store_url)
    yield engine
    engine.dispose()
