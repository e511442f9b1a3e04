"""Dovecot's IMAP: STARTTLS on the one port, TLS from the first byte on the other."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.internet._dovecot import serving
from tests.services.server import Fixture, Server

FIXTURE = Fixture("imap_server", kind="imap", port=143)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``imap_server`` is shared by the whole run."""
    with serving(ca, "imap") as server:
        yield server
