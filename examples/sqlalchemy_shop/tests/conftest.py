"""The tables of the tests."""

import pytest
from shop.models import create_tables


@pytest.fixture(scope="session", autouse=True)
def _tables() -> None:
    create_tables()
