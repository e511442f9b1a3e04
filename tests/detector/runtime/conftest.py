"""Fixtures shared by the tests of the detector's services."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.store.connect import open_store


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[[], sa.Engine]]:
    """Return another empty store at each call."""
    opened: list[sa.Engine] = []

    def another() -> sa.Engine:
        opened.append(open_store(f"sqlite:///{tmp_path / f'store{len(opened)}.db'}"))
        return opened[-1]

    yield another
    for one in opened:
        one.dispose()
