"""Wrapped functions keep their kind: frameworks check for coroutine functions before they call them."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from backwatch.collector.probes import Probe, discover
from backwatch.collector.probes.toolkit.patches import Patches
from tests.collector.probes.recording import watching

PROBES = list(discover())
OF_ASYNCIO = {"mysql": "mysql.connector.aio", "clickhouse_connect": "clickhouse_connect.driver.asyncclient"}
"""Modules that wait to be imported by the app, and are wrapped only then."""


@pytest.mark.parametrize("kind", PROBES, ids=[kind.name for kind in PROBES])
def test_wrapped_coroutine_function_is_still_a_coroutine_function(
    kind: type[Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module(kind.module)
    if kind.name in OF_ASYNCIO:
        importlib.import_module(OF_ASYNCIO[kind.name])
    changed: list[tuple[str, str, bool]] = []
    wrap = Patches.wrap

    def watched(patches: Patches, owner: Any, name: str, make: Callable[..., Any]) -> bool:
        was = inspect.iscoroutinefunction(getattr(owner, name, None))
        done = wrap(patches, owner, name, make)
        if done and inspect.iscoroutinefunction(getattr(owner, name)) != was:
            changed.append((owner.__name__, name, was))
        return done

    monkeypatch.setattr(Patches, "wrap", watched)
    with watching(kind):
        assert changed == []
