"""imaplib: fetched mail, server and account; never the password, never search terms."""

import contextlib
import imaplib
import ssl

import pytest

from backwatch.collector import names
from backwatch.collector.probes.imaplib import ImaplibProbe
from tests.collector.probes.recording import Recording
from tests.contract.exercises.imaplib import make_context
from tests.services.authority import Authority
from tests.services.internet._dovecot import MESSAGES, run_server
from tests.services.server import Server

PROBES = (ImaplibProbe,)


def test_mail_by_starttls_is_recorded_step_by_step(recording: Recording, imap_server: Server) -> None:
    with imaplib.IMAP4(imap_server.host, imap_server.port) as client:
        client.starttls(make_context(imap_server))
        client.login(imap_server.user, imap_server.password)
        client.select("INBOX", readonly=True)
        client.search(None, '(FROM "hunter2" SINCE 1-Feb-2026)')
        client.fetch("1:2", "(BODY.PEEK[])")
        client.uid("FETCH", "1:*", "(FLAGS)")
    recorded = [(one.operation, one.statement, one.rows_returned) for one in recording.calls]
    assert recorded == [
        ("connect", "", -1), ("starttls", "", -1), ("login", "", -1), ("EXAMINE", "EXAMINE INBOX", -1),
        ("SEARCH", "SEARCH ( FROM ? SINCE ? )", 0), ("FETCH", "FETCH ? ( BODY.PEEK [ ] )", 2),
        ("UID FETCH", "UID FETCH ? ( FLAGS )", MESSAGES), ("LOGOUT", "LOGOUT", -1),
    ]  # fmt: skip
    connect, starttls, login, *_ = recording.calls
    assert connect.session.encrypted is None  # not known yet: STARTTLS may follow
    assert connect.session.server_version == "Dovecot (Debian) ready."
    assert (starttls.session.encrypted, starttls.session.verified) == (True, "full")
    assert dict(starttls.session.extra) == {names.STARTTLS_OFFERED: True}
    assert (login.session.account, login.session.auth_method) == (imap_server.user, "clear-password")
    assert 4_000 < recording.of("FETCH")[0].received < 6_000
    assert imap_server.password not in repr(recording.calls)
    assert "hunter2" not in repr([one.statement for one in recording.calls])


def test_the_login_method_is_reported(recording: Recording, imap_server: Server) -> None:
    with imaplib.IMAP4_SSL(imap_server.host, imap_server.tls_port, ssl_context=make_context(imap_server)) as client:
        client.login_cram_md5(imap_server.user, imap_server.password)
    (login,) = recording.of("login")
    assert (login.session.account, login.session.auth_method) == (imap_server.user, "cram-md5")
    plain = f"\0{imap_server.user}\0{imap_server.password}".encode()
    with imaplib.IMAP4_SSL(imap_server.host, imap_server.tls_port, ssl_context=make_context(imap_server)) as client:
        client.authenticate("PLAIN", lambda _: plain)
    assert (recording.of("login")[1].session.account, recording.of("login")[1].session.auth_method) == (
        "",  # the app's own function knows the account
        "clear-password",
    )
    assert imap_server.password not in repr(recording.calls)


def test_a_refusal_is_reported_with_the_servers_code(recording: Recording, imap_server: Server) -> None:
    with imaplib.IMAP4_SSL(imap_server.host, imap_server.tls_port, ssl_context=make_context(imap_server)) as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.login("ann", "secret-guess")
        client.login(imap_server.user, imap_server.password)
        assert client.select("Nothing-2026")[0] == "NO"
    refused, _ = recording.of("login")
    assert (refused.session.account, refused.error) == ("ann", "AUTHENTICATIONFAILED")
    assert refused.facts[names.STATUS_CODE] == "AUTHENTICATIONFAILED"
    (select,), (logout,) = recording.of("SELECT"), recording.of("LOGOUT")
    assert logout.error is None  # it asked for BYE
    assert (select.statement, select.error) == ("SELECT Nothing-?", "NO")
    assert "secret-guess" not in repr(recording.calls)


def test_a_server_that_hides_starttls_is_recorded(recording: Recording, ca: Authority) -> None:
    with run_server(ca, "imap", tls=False) as server:
        client = imaplib.IMAP4(server.host, server.port)
        with pytest.raises(imaplib.IMAP4.abort):
            client.starttls()
        client.noop()
        client.shutdown()
    recorded = recording.of("NOOP")[0].session
    assert (recorded.encrypted, recorded.requested, recorded.requested_explicit) == (False, "require", True)
    assert dict(recorded.extra) == {names.STARTTLS_OFFERED: False}


def test_a_failed_handshake_is_neither_encrypted_nor_plain(recording: Recording, imap_server: Server) -> None:
    client = imaplib.IMAP4(imap_server.host, imap_server.port)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(ssl.create_default_context())
    with contextlib.suppress(OSError):  # the library has released its socket
        client.shutdown()
    (recorded,) = recording.of("starttls")
    assert (recorded.session.encrypted, type(recorded.error).__name__) == (None, "SSLCertVerificationError")
