"""ftplib: fetched and stored files, their connections, and the server's redirects of the data connection."""

# ruff: noqa: S321  the observed protocol is FTP
import ftplib
import io
import socket
import ssl
import threading

import pytest

from backwatch.collector import names
from backwatch.collector.probes.ftplib import FtplibProbe
from tests.collector.probes.recording import Recording
from tests.contract.exercises.ftplib import make_context
from tests.services.authority import Authority
from tests.services.internet.ftp import CONTENT, run_server
from tests.services.server import Server

PROBES = (FtplibProbe,)


def test_files_over_tls_are_recorded_with_the_data_connections_bytes(recording: Recording, ftp_server: Server) -> None:
    with ftplib.FTP_TLS(context=make_context(ftp_server)) as client:
        client.connect(ftp_server.host, ftp_server.port)
        client.login(ftp_server.user, ftp_server.password)
        client.prot_p()
        client.retrbinary("RETR report.csv", lambda _: None)
        client.storbinary("STOR incoming/day-20260131.bin", io.BytesIO(b"x" * 50_000))
        assert client.nlst("incoming") == ["incoming/day-20260131.bin"]
        client.delete("incoming/day-20260131.bin")
    operations = ["connect", "starttls", "login", "PBSZ", "PROT", "RETR", "STOR", "NLST", "DELE", "QUIT"]
    assert [one.operation for one in recording.calls] == operations
    connect, starttls, login, *_ = recording.calls
    assert (connect.session.encrypted, connect.session.server_version) == (None, "vsFTPd 3.0.3")
    assert (starttls.session.encrypted, starttls.session.verified, starttls.session.requested) == (
        True, "full", "verify-full",
    )  # fmt: skip
    assert (login.session.account, login.session.auth_method) == (ftp_server.user, "clear-password")
    retrieved, stored, listed = (recording.of(one)[0] for one in ("RETR", "STOR", "NLST"))
    assert (retrieved.statement, stored.statement) == ("RETR report.csv", "STOR incoming/day-?.bin")
    assert len(CONTENT) < retrieved.received < len(CONTENT) + 1_000
    assert 50_000 < stored.sent < 51_000
    assert (retrieved.estimated, listed.rows_returned) == (True, 1)
    assert retrieved.session.encrypted
    assert names.REDIRECT_TARGET not in retrieved.facts
    assert ftp_server.password not in repr(recording.calls)


def test_plain_data_beside_an_encrypted_login_are_reported(recording: Recording, ftp_server: Server) -> None:
    with ftplib.FTP_TLS(context=make_context(ftp_server)) as client:
        client.connect(ftp_server.host, ftp_server.port)
        client.login(ftp_server.user, ftp_server.password)
        client.retrlines("RETR report.csv", lambda _: None)
        client.pwd()
    assert recording.of("RETR")[0].session.encrypted is False
    assert recording.of("PWD")[0].session.encrypted is True


def test_a_server_that_sends_data_connections_elsewhere_is_recorded(
    recording: Recording, ftp_elsewhere: Server
) -> None:
    with ftplib.FTP() as client:
        client.connect(ftp_elsewhere.host, ftp_elsewhere.port)
        client.login(ftp_elsewhere.user, ftp_elsewhere.password)
        client.retrbinary("RETR report.csv", lambda _: None)
    (recorded,) = recording.of("RETR")
    assert str(recorded.facts[names.REDIRECT_TARGET]).startswith("10.0.0.7:")
    assert recorded.error is None  # Python's own client goes to the host that it knows


def test_a_refused_login_is_recorded_with_the_servers_code(recording: Recording, ftp_server: Server) -> None:
    with ftplib.FTP() as client:
        client.connect(ftp_server.host, ftp_server.port)
        with pytest.raises(ftplib.error_perm):
            client.login("ftp", "secret-guess")
    (login,) = recording.of("login")
    assert (login.session.account, login.session.encrypted) == ("ftp", False)
    assert (type(login.error).__name__, login.facts[names.STATUS_CODE]) == ("error_perm", "530")
    assert "secret-guess" not in repr(recording.calls)


def test_a_server_without_tls_is_recorded(recording: Recording, ca: Authority) -> None:
    with run_server(ca, tls=False) as server, ftplib.FTP_TLS() as client:
        client.connect(server.host, server.port)
        with pytest.raises(ftplib.error_perm):
            client.login("ftp", "never sent")
    (recorded,) = recording.of("starttls")
    assert (recorded.session.encrypted, recorded.session.requested) == (False, "require")
    assert dict(recorded.session.extra) == {names.STARTTLS_OFFERED: False}


def test_a_failed_handshake_is_neither_encrypted_nor_plain(recording: Recording, ftp_server: Server) -> None:
    client = ftplib.FTP_TLS(context=ssl.create_default_context())
    client.connect(ftp_server.host, ftp_server.port)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.auth()
    client.close()
    (recorded,) = recording.of("starttls")
    assert (recorded.session.encrypted, type(recorded.error).__name__) == (None, "SSLCertVerificationError")


def test_a_file_that_is_not_there_is_recorded(recording: Recording, ftp_server: Server) -> None:
    with ftplib.FTP() as client:
        client.connect(ftp_server.host, ftp_server.port)
        client.login(ftp_server.user, ftp_server.password)
        with pytest.raises(ftplib.error_perm):
            client.retrbinary("RETR nothing.bin", lambda _: None)
    (recorded,) = recording.of("RETR")
    assert recorded.facts[names.STATUS_CODE] == "550"


def test_server_that_hangs_up_before_its_greeting_leaves_tls_unknown(recording: Recording) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            listening.accept()[0].close()

        hangs_up = threading.Thread(target=hang_up, daemon=True)
        hangs_up.start()
        client = ftplib.FTP_TLS()
        with pytest.raises((EOFError, OSError)):
            client.connect("127.0.0.1", listening.getsockname()[1], timeout=5)
        with pytest.raises((EOFError, OSError)):
            client.quit()
        hangs_up.join(5)
    assert [call.operation for call in recording.calls] == ["connect", "QUIT"]
    assert [call.session.encrypted for call in recording.calls] == [None, None]
