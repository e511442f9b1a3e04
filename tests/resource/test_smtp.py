"""Mail servers, attached: real ones, and the hostile ones of the attack pack."""

import smtplib
import time
from pathlib import Path

import pytest

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import SECRET, ServerSession
from backwatch.attack.scenarios.smtp.plain_only import _PlainOnlySmtp
from backwatch.attack.techniques.starttls import StartTLSHidden
from backwatch.resource import ResourceUnsafe
from tests.resource.attaching import attach_url
from tests.resource.hostile import attach_hostile, serve_hostile
from tests.services.internet.smtp import MailServer

URL = "smtp://shop:SECRET@localhost:PORT"
MAIL = "Subject: Your order\r\n\r\nThank you."
RECIPIENT = "resource@shop.example"


def send(session: smtplib.SMTP) -> None:
    with session:
        assert session.sendmail("shop@shop.example", [RECIPIENT], MAIL) == {}


def test_mail_goes_over_verified_tls(smtp_server: MailServer) -> None:
    login = f"{smtp_server.user}:{smtp_server.password}@localhost"
    before = len(smtp_server.received)
    for url in (f"smtp://{login}:{smtp_server.port}", f"smtps://{login}:{smtp_server.tls_port}"):
        session = attach_url(url, ca=smtp_server.ca_file).session()
        assert session.sock.version() == "TLSv1.3"
        send(session)
    assert [mail.recipients for mail in list(smtp_server.received)[before:]] == [(RECIPIENT,)] * 2


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_foreign_authority_is_refused(smtp_server: MailServer, scheme: str) -> None:
    port = smtp_server.tls_port if scheme == "smtps" else smtp_server.port
    with pytest.raises(ResourceUnsafe, match="certificate") as caught:
        attach_url(f"{scheme}://localhost:{port}").session()
    assert caught.value.check == "tls"


def test_server_without_tls_is_refused(smtp_server: MailServer) -> None:
    with pytest.raises(ResourceUnsafe, match="does not offer STARTTLS"):
        attach_url(f"smtp://localhost:{smtp_server.plain_port}").session()


def test_own_machine_needs_no_tls(smtp_server: MailServer) -> None:
    send(attach_url(f"smtp://localhost:{smtp_server.plain_port}", tls_on_loopback="optional").session())


def test_observing_finds_what_is_unsafe(smtp_server: MailServer) -> None:
    resource = attach_url(f"smtp://localhost:{smtp_server.plain_port}", mode="observe")
    send(resource.session())
    assert [finding.check for finding in resource.findings] == ["tls"]
    resource = attach_url(f"smtp://localhost:{smtp_server.port}", mode="observe")
    resource.session().close()
    assert [finding.seen for finding in resource.findings] == ["the certificate is not verified (verified: none)"]


def test_wrong_password_stays_the_drivers_error(smtp_server: MailServer) -> None:
    url = f"smtp://{smtp_server.user}:wrong@localhost:{smtp_server.port}"
    with pytest.raises(smtplib.SMTPAuthenticationError):
        attach_url(url, ca=smtp_server.ca_file).session()


def test_ports_follow_the_scheme() -> None:
    ports = {
        scheme: attach_url(f"{scheme}://mail.example")._attachment.default_port
        for scheme in ("smtp", "smtps", "submission")
    }
    assert ports == {"smtp": 25, "smtps": 465, "submission": 587}


def test_hidden_starttls_is_refused_before_the_login(tmp_path: Path) -> None:
    with serve_hostile(SMTP, tmp_path) as server, pytest.raises(ResourceUnsafe, match="STARTTLS") as caught:
        attach_hostile(server, URL).session()
    assert caught.value.check == "tls"
    assert server.kept == []
    assert StartTLSHidden.captures == SECRET.encode()


class RefusingSMTP(SMTP):
    """Offers STARTTLS, and refuses it."""

    def _greeting(self, session: ServerSession) -> bytes:
        return b"250-mail\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"


def test_refused_starttls_is_refused_before_the_login(tmp_path: Path) -> None:
    class Refusing(RefusingSMTP):
        def serve(self, session: ServerSession) -> None:
            session.send(b"220 mail\r\n")
            while command := session.line():
                starts = command.upper().startswith(b"STARTTLS")
                session.send(b"454 later\r\n" if starts else self._greeting(session))

    with serve_hostile(Refusing, tmp_path) as server, pytest.raises(ResourceUnsafe, match="with 454") as caught:
        attach_hostile(server, URL).session()
    assert caught.value.check == "tls"


class InjectingSMTP(RefusingSMTP):
    """Sends a reply in plaintext behind the one to STARTTLS, and then negotiates."""

    def serve(self, session: ServerSession) -> None:
        session.send(b"220 mail\r\n")
        session.line()
        session.send(self._greeting(session))
        session.line()
        session.send(b"220 go ahead\r\n250-mail\r\n250 AUTH PLAIN\r\n")
        session.secure()
        while session.line():
            session.send(b"250 AUTH PLAIN\r\n")


def test_bytes_injected_before_the_handshake_are_refused(tmp_path: Path) -> None:
    with serve_hostile(InjectingSMTP, tmp_path) as server, pytest.raises(ResourceUnsafe, match="behind") as caught:
        attach_hostile(server, URL).session()
    assert caught.value.check == "tls"


class ExpiredSMTP(SMTP):
    """Has a certificate that ended days ago."""

    def turn(self) -> None:
        self.certificate = self.authority.issue("expired", days=-5)


def test_expired_certificate_is_refused(tmp_path: Path) -> None:
    with serve_hostile(ExpiredSMTP, tmp_path) as server, pytest.raises(ResourceUnsafe, match="expired") as caught:
        attach_hostile(server, URL).session()
    assert caught.value.check == "tls"


def test_changed_certificate_is_refused_by_a_pin(tmp_path: Path) -> None:
    with serve_hostile(SMTP, tmp_path, hostile=False) as server, pytest.raises(ResourceUnsafe) as caught:
        attach_hostile(server, URL, pin=["ab" * 32]).session()
    assert caught.value.check == "pin"


def test_strong_login_never_sends_the_password(tmp_path: Path) -> None:
    with serve_hostile(_PlainOnlySmtp, tmp_path) as server, pytest.raises(ResourceUnsafe, match="PLAIN") as caught:
        attach_hostile(server, URL, auth="strong").session()
    assert caught.value.check == "auth"
    assert server.kept == []


class ProofRefusingSMTP(_PlainOnlySmtp):
    """Offers a proof and refuses it, so that the client sends the password."""

    wants_password = False

    def turn(self) -> None:
        pass

    def _login(self, session: ServerSession, secret: bytes) -> bytes:
        if secret:
            return super()._login(session, secret)
        session.send(b"334 PDcuMUBtYWlsPg==\r\n")
        session.line()
        return b"535 no\r\n"


def test_password_does_not_follow_a_refused_proof(tmp_path: Path) -> None:
    with serve_hostile(ProofRefusingSMTP, tmp_path) as server, pytest.raises(ResourceUnsafe, match="proof") as caught:
        attach_hostile(server, URL).session()
    assert caught.value.check == "auth"
    assert not any(SECRET.encode() in leaked for leaked in server.kept)


class FloodingSMTP(SMTP):
    """Greets with lines without end."""

    def serve(self, session: ServerSession) -> None:
        while True:
            session.send(b"220-welcome\r\n" * 1000)


class DrippingSMTP(SMTP):
    """Greets with a line every few moments, without end."""

    def serve(self, session: ServerSession) -> None:
        while True:
            session.send(b"220-welcome\r\n")
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("kind", "check"), [(FloodingSMTP, "max_reply_bytes"), (DrippingSMTP, "statement_timeout_s")], ids=["flood", "drip"]
)
def test_endless_greeting_is_refused(kind: type[SMTP], check: str, tmp_path: Path) -> None:
    with serve_hostile(kind, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        attach_hostile(server, URL, statement_timeout_s=1).session()
    assert caught.value.check == check


def test_bare_driver_logs_in_in_plaintext(tmp_path: Path) -> None:
    with serve_hostile(SMTP, tmp_path) as server:
        smtplib.SMTP("localhost", server.port, timeout=5).login("shop", SECRET)
        assert any(SECRET.encode() in leaked for leaked in server.kept)
