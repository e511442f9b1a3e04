"""Dovecot's IMAP: STARTTLS on the one port, TLS from the first byte on the other."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.internet._dovecot import serving
from tests.services.server import Fixture, Server

FIXTURE = Fixture("imap_server", kind="imap", port=143)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """A server of one's own; the fixture ``imap_server`` is the one that the whole run shares."""
    with serving(ca, "imap") as server:
        yield server
