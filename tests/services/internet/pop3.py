"""Dovecot's POP3: STARTTLS on the one port, TLS from the first byte on the other."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.internet._dovecot import run_server
from tests.services.server import Fixture, Server

FIXTURE = Fixture("pop3_server", kind="pop3", port=110)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``pop3_server`` is shared by the whole run."""
    with run_server(ca, "pop3") as server:
        yield server
