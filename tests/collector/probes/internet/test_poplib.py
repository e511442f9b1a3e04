"""poplib: fetched mail, server and account; never the password."""

import contextlib
import poplib
import ssl

import pytest

from backwatch.collector import names
from backwatch.collector.probes.poplib import PoplibProbe
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.poplib import make_context
from tests.services.authority import Authority
from tests.services.internet._dovecot import MESSAGES, run_server
from tests.services.server import Server

PROBES = (PoplibProbe,)


def test_mail_by_stls_is_recorded_step_by_step(recording: Recording, pop3_server: Server) -> None:
    client = poplib.POP3(pop3_server.host, pop3_server.port)
    client.stls(make_context(pop3_server))
    client.user(pop3_server.user)
    client.pass_(pop3_server.password)
    client.list()
    client.retr(1)
    client.quit()
    assert [one.operation for one in recording.calls] == ["connect", "starttls", "login", "LIST", "RETR", "QUIT"]
    connect, starttls, login, listed, retrieved, _ = recording.calls
    assert connect.session.encrypted is None  # not known yet: STLS may follow
    assert "Dovecot" in connect.session.server_version
    assert (starttls.session.encrypted, starttls.session.verified) == (True, "full")
    assert (starttls.session.requested, starttls.session.requested_explicit) == ("verify-full", True)
    assert dict(starttls.session.extra) == {names.STARTTLS_OFFERED: True}
    assert (login.session.account, login.session.auth_method) == (pop3_server.user, "clear-password")
    assert (listed.statement, listed.rows_returned) == ("LIST", MESSAGES)
    assert (retrieved.statement, retrieved.rows_returned) == ("RETR ?", 1)
    assert 2_000 < retrieved.received < 3_000
    assert retrieved.session is login.session
    assert pop3_server.password not in repr(recording.calls)


def test_a_refused_login_reports_its_account_and_keeps_the_session(recording: Recording, pop3_server: Server) -> None:
    client = poplib.POP3_SSL(pop3_server.host, pop3_server.tls_port, context=make_context(pop3_server))
    client.user("ann")
    with pytest.raises(poplib.error_proto):
        client.pass_("secret-guess")
    client.capa()
    client.close()
    connect, login, later = recording.calls
    assert (connect.session.encrypted, connect.session.requested, connect.session.extra) == (True, "verify-full", ())
    assert (login.operation, login.session.account, login.facts[names.STATUS_CODE]) == ("login", "ann", "AUTH")
    assert later.session.account == ""
    assert "secret-guess" not in repr(recording.calls)


def test_a_server_that_hides_stls_is_recorded(recording: Recording, ca: Authority) -> None:
    with run_server(ca, "pop3", tls=False) as server:
        client = poplib.POP3(server.host, server.port)
        with pytest.raises(poplib.error_proto, match="STLS not supported"):
            client.stls()
        client.capa()
        client.close()
    recorded = recording.calls[-1].session
    assert (recorded.encrypted, recorded.requested, recorded.requested_explicit) == (False, "require", True)
    assert dict(recorded.extra) == {names.STARTTLS_OFFERED: False}


def test_a_failed_handshake_is_neither_encrypted_nor_plain(recording: Recording, pop3_server: Server) -> None:
    client = poplib.POP3(pop3_server.host, pop3_server.port)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.stls(ssl.create_default_context())
    with contextlib.suppress(OSError):  # the library has released its socket
        client.close()
    (recorded,) = recording.of("starttls")
    assert (recorded.session.encrypted, type(recorded.error).__name__) == (None, "SSLCertVerificationError")


def test_connection_older_than_the_probe_is_read_at_its_next_call(pop3_server: Server) -> None:
    client = poplib.POP3_SSL(pop3_server.host, pop3_server.tls_port, context=make_context(pop3_server))
    with watching(PoplibProbe) as recording:
        client.capa()
    client.close()
    (recorded,) = recording.calls
    assert (recorded.session.encrypted, recorded.session.verified, recorded.session.address) == (
        True,
        "full",
        pop3_server.host,
    )
