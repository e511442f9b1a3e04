"""valkey-py's tests on Redis, which Debian has: a request for Valkey's version returns that of Redis."""

import sys
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Patch before the suite's own hook asks."""
    conftest: Any = sys.modules["tests.conftest"]
    original = conftest._get_info

    def with_version(url: str) -> dict[str, Any]:
        info = original(url)
        info.setdefault("valkey_version", info["redis_version"])
        return info

    conftest._get_info = with_version
