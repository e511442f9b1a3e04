"""pymongo's tests on FerretDB: a reply for a parameter that only MongoDB has."""

from typing import Any

import pytest

WITHOUT = {"enableTestCommands": False}


def _parameters(context: Any) -> dict[str, Any]:
    return context.__dict__.get("server_parameters", {})


def _learn(context: Any, reply: dict[str, Any]) -> None:
    context.__dict__["server_parameters"] = {**WITHOUT, **reply}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Patch before any test connects."""
    from test import ClientContext  # pyright: ignore  # noqa: PGH003  the suite's, not the standard library's
    from test.asynchronous import AsyncClientContext  # pyright: ignore  # noqa: PGH003

    for context in (ClientContext, AsyncClientContext):
        context.server_parameters = property(_parameters, _learn)
