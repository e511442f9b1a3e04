"""Fixtures shared by the tests of the detector."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine
from backwatch.store.connect import open_store
from tests.detector import streams


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine with every detector and rule, under the module's ``CONFIG`` if it has one."""
    return make_engine(getattr(request.module, "CONFIG", streams.CONFIG))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sa.Engine]:
    """An open store in a file."""
    engine = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield engine
    engine.dispose()
