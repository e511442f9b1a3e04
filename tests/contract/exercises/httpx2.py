"""The same calls as httpx's, with its fork."""

from collections.abc import Callable
from typing import Any

import httpx2

from tests.contract.exercises.httpx import SERVICES, both, broken

__all__ = ["SERVICES", "calls", "failures"]


def calls(services: dict[str, Any]) -> list[object]:
    return both(httpx2, services)


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    return broken(httpx2, services)
