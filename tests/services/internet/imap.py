"""Dovecot's IMAP: STARTTLS on the one port, TLS from the first byte on the other."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.internet._dovecot import run_server
from tests.services.server import Fixture, Server

FIXTURE = Fixture("imap_server", kind="imap", port=143)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``imap_server`` is shared by the whole run."""
    with run_server(ca, "imap") as server:
        yield server
