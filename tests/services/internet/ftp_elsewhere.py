"""vsftpd that sends its clients to another host for their data, as a hostile server does (CVE-2021-4189)."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.internet.ftp import run_server
from tests.services.server import Fixture, Server

ELSEWHERE = "10.0.0.7"
FIXTURE = Fixture("ftp_elsewhere", kind="ftp_elsewhere", port=21)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``ftp_elsewhere`` is shared by the whole run."""
    with run_server(ca, more=f"pasv_address={ELSEWHERE}") as server:
        yield server
