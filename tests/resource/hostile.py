"""Hostile servers of the attack pack for tests of the resource, attached as a deploy would attach them."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import SECRET, HostileServer
from backwatch.resource import Resource
from tests.resource.attaching import attach_url

S = TypeVar("S", bound=HostileServer)


@contextlib.contextmanager
def serve_hostile(kind: type[S], folder: Path, *, hostile: bool = True) -> Generator[S]:
    """Run a server with a certificate of a known authority, hostile from the first byte."""
    server = kind(Authority(folder))
    server.record()
    server.start()
    try:
        if hostile:
            server.turn()
        yield server
    finally:
        server.stop()


def attach_hostile(server: HostileServer, url: str, **settings: Any) -> Resource:
    """Attach it by a URL with the places ``PORT`` and ``SECRET``; its authority is trusted."""
    text = url.replace("PORT", str(server.port)).replace("SECRET", SECRET)
    return attach_url(text, **{"ca": str(server.authority.ca_file), **settings})
