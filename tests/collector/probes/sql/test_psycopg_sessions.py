"""psycopg's sessions against a real PostgreSQL: TLS, logins, peers, failed connects."""

import asyncio
import gc
import hashlib
import socket
import ssl
import struct
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography import x509

from backwatch.collector import names
from backwatch.collector.probes.psycopg import PsycopgProbe
from tests.collector.probes.recording import Recording
from tests.services.authority import Authority
from tests.services.process import ROOT
from tests.services.server import Server

PROBES = (PsycopgProbe,)


def test_a_verified_session_is_recorded(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.tls_url) as connection:
        version = connection.info.parameter_status("server_version")
    record = recording.calls[0]
    session = record.session
    assert record.operation == "connect"
    assert (session.encrypted, session.verified, session.requested, session.requested_explicit) == (
        True, "full", "verify-full", True,
    )  # fmt: skip
    assert session.tls_version == "1.3"
    assert session.cipher.startswith("TLS_")
    assert (session.address, session.port) == (postgresql.host, postgresql.port)
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", postgresql.port)
    assert (session.account, session.namespace, session.system) == (postgresql.user, "postgres", "postgresql")
    assert session.server_version == version
    assert session.auth_method == "used-password"
    assert record.sent > 300
    assert record.received > 1000


def test_the_recorded_certificate_is_the_one_served(recording: Recording, postgresql: Server) -> None:
    psycopg.connect(postgresql.tls_url).close()
    session = recording.calls[0].session
    der = _certificate_of(postgresql)
    certificate = x509.load_der_x509_certificate(der)
    assert session.certificate_sha256 == hashlib.sha256(der).hexdigest().upper()
    assert session.not_after == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert session.issuer == "CN=Backwatch test authority"
    assert session.subject == "CN=localhost"


def _certificate_of(server: Server) -> bytes:
    """Request TLS by hand: SSLRequest, then a handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((server.host, server.port)) as plain:
        plain.sendall(struct.pack(">ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as wrapped:
            der = wrapped.getpeercert(True)
    assert der
    return der


@pytest.mark.parametrize(
    ("mode", "encrypted", "verified", "explicit"),
    [
        ("", True, "none", False), ("prefer", True, "none", True), ("require", True, "none", True),
        ("verify-ca", True, "chain", True), ("disable", False, "", True), ("allow", False, "", True),
    ],
)  # fmt: skip
def test_requested_and_actual_tls_are_both_recorded(
    recording: Recording, postgresql: Server, mode: str, encrypted: bool, verified: str, explicit: bool
) -> None:
    options: dict[str, Any] = {"sslmode": mode} if mode else {}
    if mode == "verify-ca":
        options["sslrootcert"] = postgresql.ca_file
    psycopg.connect(postgresql.url, **options).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit) == (mode or "prefer", explicit)
    assert (session.encrypted, session.verified) == (encrypted, verified)
    if not encrypted:
        assert (session.tls_version, session.cipher, session.certificate_sha256) == ("", "", "")


def test_a_root_certificate_makes_require_verify_the_chain(recording: Recording, postgresql: Server) -> None:
    psycopg.connect(postgresql.url, sslmode="require", sslrootcert=postgresql.ca_file).close()
    assert recording.calls[0].session.verified == "chain"


def test_the_environment_asks_too(recording: Recording, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "prefer")
    psycopg.connect(postgresql.url).close()
    assert recording.calls[0].session.requested_explicit is True


def test_a_failed_login_is_recorded(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, password="wrong", sslmode="require")
    (record,) = recording.calls
    session = record.session
    assert isinstance(record.error, psycopg.OperationalError)
    assert (session.address, session.port, session.account) == (postgresql.host, postgresql.port, postgresql.user)
    assert (session.requested, session.requested_explicit, session.encrypted) == ("require", True, None)
    assert session.peer_address == "127.0.0.1"
    assert record.facts[names.STATUS_CODE] == "28P01"


def test_an_account_that_there_is_not_is_a_refused_login_too(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, user="nobody_there", password="wrong", sslmode="require")
    (record,) = recording.calls
    assert record.facts[names.STATUS_CODE] in ("28P01", "28000")


def test_a_database_that_there_is_not_is_no_refused_login(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, dbname="nothing_there", sslmode="require")
    (record,) = recording.calls
    assert names.STATUS_CODE not in record.facts


def test_a_certificate_for_another_name_is_recorded(recording: Recording, postgresql: Server, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, sslmode="verify-full", sslrootcert=str(other.ca_file))
    (record,) = recording.calls
    assert (record.session.requested, record.session.encrypted) == ("verify-full", None)


def test_a_dead_port_is_recorded(recording: Recording) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect("host=127.0.0.1 port=1 user=stranger dbname=some")
    (record,) = recording.calls
    assert (record.session.address, record.session.port, record.session.account) == ("127.0.0.1", 1, "stranger")


def test_a_unix_socket_is_recorded(recording: Recording, postgresql: Server) -> None:
    parts = urlsplit(postgresql.url)
    psycopg.connect(
        host=postgresql.socket, port=postgresql.port, user=parts.username, password=parts.password, dbname="postgres"
    ).close()
    record = recording.calls[0]
    path = f"{postgresql.socket}/.s.PGSQL.{postgresql.port}"
    assert (record.session.transport, record.session.address, record.session.port) == ("unix", path, 0)
    assert record.session.encrypted is False
    assert (record.sent, record.received) == (-1, -1)


def test_a_timed_out_connect_is_recorded(recording: Recording) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(f"host=127.0.0.1 port={silent.getsockname()[1]} user=a connect_timeout=2")
    gc.collect()
    assert [call.error for call in recording.calls] == ["ConnectionTimeout"]


def test_a_cancelled_connect_is_recorded(recording: Recording) -> None:
    async def work(port: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await psycopg.AsyncConnection.connect(f"host=127.0.0.1 port={port} user=a")

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        asyncio.run(work(silent.getsockname()[1]))
    gc.collect()
    (record,) = recording.calls
    assert isinstance(record.error, asyncio.CancelledError)


BY_CTYPES = """
import os, sys
os.environ["PSYCOPG_IMPL"] = "python"
import psycopg
from backwatch.collector.probes.psycopg import PsycopgProbe
from tests.collector.probes.recording import Recording
recording = Recording()
PsycopgProbe().instrument(recorder=recording)
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("select 1")
session = recording.calls[0].session
assert psycopg.pq.__impl__ == "python"
assert (session.verified, session.subject, session.tls_version) == ("full", "CN=localhost", "1.3"), session
assert recording.calls[1].rows_returned == 1
"""


def test_the_systems_own_libpq_yields_the_same_facts(postgresql: Server) -> None:
    if find_library("pq") is None:
        pytest.skip("needs a real server: libpq of the system, which Debian's postgresql brings")
    done = subprocess.run(
        [sys.executable, "-c", BY_CTYPES, postgresql.tls_url], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
