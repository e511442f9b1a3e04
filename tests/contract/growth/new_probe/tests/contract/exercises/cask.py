"""Typical calls of an app that uses a cask, and the failures of its client."""

import importlib
import ssl
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backwatch.attack.authority import Authority

SERVICES = ()
cask: Any = importlib.import_module("cask")
OtherKeyCask: Any = importlib.import_module("backwatch.attack.scenarios.cask.other_key").OtherKeyCask


@contextmanager
def serving() -> Generator[tuple[Any, Any]]:
    """Yield a server, and a client that is connected to it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        server = OtherKeyCask(authority)
        server.start()
        client = cask.Client("localhost", server.port, ssl.create_default_context(cafile=str(authority.ca_file)))
        try:
            client.connect()
            yield server, client
        finally:
            client.close()
            server.stop()


def calls(services: dict[str, Any]) -> list[object]:
    del services
    with serving() as (server, client):
        client.put("a", "1")
        found = [client.get("a"), client.get("none")]
        server.hostile = True
        found.append(client.get("a"))
        try:
            client.execute("DROP a")
        except cask.CaskError as error:
            found.append(str(error))
        return found


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    del services

    def refused() -> None:
        with serving() as (_, client):
            client.execute("DROP a")

    def untrusted() -> None:
        with serving() as (server, _):
            cask.Client("localhost", server.port, ssl.create_default_context()).connect()

    return [refused, untrusted, lambda: cask.Client("127.0.0.1", 1, ssl.create_default_context()).connect()]
