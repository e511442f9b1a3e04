"""smtplib: connect, starttls, login and send are calls; a server that hides STARTTLS is seen."""

import smtplib
import ssl
from email.message import EmailMessage

import pytest

from backwatch.collector import names
from backwatch.collector.probes.smtplib import SmtplibProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.internet.smtp import MailServer

PROBES = (SmtplibProbe,)
SENDER = "shop@shop.example"
LONG = "\r\n".join(["x" * 98] * 100)


def make_context(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


def test_a_mail_by_starttls_is_four_calls(recording: Recording, smtp_server: MailServer) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.port) as client:
        client.starttls(context=make_context(smtp_server))
        client.login(smtp_server.user, smtp_server.password)
        client.sendmail(SENDER, ["a@two.example", "b@one.example", "c@two.example"], LONG)
    assert [one.operation for one in recording.calls] == ["connect", "starttls", "login", "send"]
    connect, starttls, login, send = recording.calls
    assert connect.session.encrypted is None  # not known yet: STARTTLS may follow
    assert (starttls.session.encrypted, starttls.session.verified) == (True, "full")
    assert (starttls.session.requested, starttls.session.requested_explicit) == ("verify-full", True)
    assert (login.session.account, login.session.auth_method) == (smtp_server.user, "clear-password")
    assert send.session is login.session
    assert send.session.peer_port == smtp_server.port
    assert "SMTP" in send.session.server_version
    assert len(send.session.certificate_sha256) == 64
    assert dict(send.session.extra) == {names.STARTTLS_OFFERED: True}
    assert (send.statement, send.rows_affected) == ("SEND one.example,two.example", 3)
    assert 10_000 < send.sent < 11_000
    assert smtp_server.password not in repr(recording.calls)


def test_starttls_by_default_is_reported_as_unverified(recording: Recording, smtp_server: MailServer) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.port) as client:
        client.starttls()
    session = recording.of("starttls")[0].session
    assert (session.encrypted, session.verified, session.requested) == (True, "none", "require")


def test_a_server_that_hides_starttls_is_recorded(recording: Recording, smtp_server: MailServer) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.plain_port) as client:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.starttls()
        client.sendmail(SENDER, "a@one.example", "text")
    starttls, send = recording.calls[1:]
    assert isinstance(starttls.error, smtplib.SMTPNotSupportedError)
    for recorded in (starttls, send):
        assert (recorded.session.encrypted, recorded.session.requested, recorded.session.requested_explicit) == (
            False,
            "require",
            True,
        )
        assert dict(recorded.session.extra) == {names.STARTTLS_OFFERED: False}


def test_an_app_that_never_asks_for_tls_is_recorded(recording: Recording, smtp_server: MailServer) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.plain_port) as client:
        client.sendmail(SENDER, "a@one.example", "text")
    session = recording.of("send")[-1].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)
    assert dict(session.extra) == {names.STARTTLS_OFFERED: False}


def test_a_failed_handshake_is_neither_encrypted_nor_plain(recording: Recording, smtp_server: MailServer) -> None:
    client = smtplib.SMTP(smtp_server.host, smtp_server.port)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=ssl.create_default_context())
    client.close()
    recorded = recording.of("starttls")[0]
    assert (recorded.session.encrypted, type(recorded.error).__name__) == (None, "SSLCertVerificationError")
    assert dict(recorded.session.extra) == {names.STARTTLS_OFFERED: True}


def test_tls_at_once_is_recorded_at_connect(recording: Recording, smtp_server: MailServer) -> None:
    with smtplib.SMTP_SSL(smtp_server.host, smtp_server.tls_port, context=make_context(smtp_server)) as client:
        client.sendmail(SENDER, "a@one.example", "text")
    connect, send = recording.calls
    assert (connect.session.encrypted, connect.session.verified, connect.session.requested) == (
        True,
        "full",
        "verify-full",
    )
    assert connect.session is send.session
    assert connect.session.extra == ()


def test_tls_at_once_with_an_untrusted_certificate_is_recorded(recording: Recording, smtp_server: MailServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        smtplib.SMTP_SSL(smtp_server.host, smtp_server.tls_port, context=ssl.create_default_context())
    (recorded,) = recording.calls
    assert (recorded.operation, type(recorded.error).__name__) == ("connect", "SSLCertVerificationError")
    assert (recorded.session.encrypted, recorded.session.requested) == (None, "verify-full")


def test_a_failed_login_reports_its_account_and_keeps_the_session(
    recording: Recording, smtp_server: MailServer
) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.plain_port) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ann", "secret-guess")
        client.sendmail(SENDER, "a@one.example", "text")
    login, send = recording.calls[1:]
    assert (login.operation, login.session.account) == ("login", "ann")
    assert login.facts[names.STATUS_CODE] == "535"
    assert (send.session.account, send.session.auth_method) == ("", "")
    assert "secret-guess" not in repr(recording.calls)


def test_a_refused_sender_is_recorded_with_the_servers_code(recording: Recording, smtp_server: MailServer) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.plain_port) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(SENDER, "a@one.example", "text", mail_options=["BODY=NONSENSE"])
        client.sendmail(SENDER, "a@one.example", "text")
    first, second = recording.of("send")
    assert (type(first.error).__name__, first.facts[names.STATUS_CODE], first.rows_affected) == (
        "SMTPSenderRefused",
        "501",
        0,
    )
    assert (second.error, second.rows_affected) == (None, 1)


def test_send_message_is_one_call(recording: Recording, smtp_server: MailServer) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = SENDER, "Ann <a@one.example>", "b@three.example"
    message.set_content("text")
    with smtplib.SMTP(smtp_server.host, smtp_server.plain_port) as client:
        client.send_message(message)
    (recorded,) = recording.of("send")
    assert recorded.statement == "SEND one.example,three.example"


def test_a_refused_connection_is_recorded(recording: Recording) -> None:
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1:1")
    (recorded,) = recording.calls
    assert (recorded.operation, recorded.session.address, recorded.session.port) == ("connect", "127.0.0.1", 1)


def test_connection_older_than_the_probe_is_read_at_its_next_call(smtp_server: MailServer) -> None:
    with smtplib.SMTP_SSL(smtp_server.host, smtp_server.tls_port, context=make_context(smtp_server)) as client:
        client.noop()
        with watching(SmtplibProbe) as recording:
            client.sendmail(SENDER, "a@one.example", LONG)
    (recorded,) = recording.calls
    assert (recorded.session.encrypted, recorded.session.verified, recorded.session.address) == (
        True,
        "full",
        smtp_server.host,
    )
    assert 10_000 < recorded.sent < 11_000
