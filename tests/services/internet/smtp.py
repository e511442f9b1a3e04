"""aiosmtpd in a thread of the tests: STARTTLS, TLS from the first byte, and a server that offers neither."""

import contextlib
import ssl
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.services.authority import Authority
from tests.services.process import free_port, password
from tests.services.server import HOST, Server

USER = "app"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as the server received it."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer(Server):
    """``port`` offers STARTTLS and login, ``tls_port`` is TLS at once, ``plain_port`` offers no TLS at all.

    Attributes:
        received: The last thousand messages; the run shares the server, so filter by your own recipients.

    """

    plain_port: int
    received: deque[Mail]


class _Postbox:
    def __init__(self, received: deque[Mail]) -> None:
        self._received = received

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        content = envelope.original_content or b""
        self._received.append(Mail(envelope.mail_from or "", tuple(envelope.rcpt_tos), content))
        return "250 Message accepted for delivery"


class _TlsController(Controller):
    """TLS from the first byte: aiosmtpd gives its context to the listener, and must not offer STARTTLS as well."""

    def factory(self) -> SMTP:
        return SMTP(self.handler, **self.SMTP_kwargs)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[MailServer]:
    """Run separate servers; the fixture ``smtp_server`` is shared by the whole run."""
    secret, received, certificate = password(), deque[Mail](maxlen=1000), ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)

    def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), secret.encode())
        return AuthResult(success=right, handled=False)  # else a refusal never gets a reply

    common: dict[str, Any] = {"hostname": HOST, "authenticator": login, "ready_timeout": 60}
    box = _Postbox(received)
    starttls = Controller(box, port=free_port(), tls_context=context, auth_require_tls=True, **common)
    at_once = _TlsController(box, port=free_port(), ssl_context=context, auth_require_tls=False, **common)
    plain = Controller(box, port=free_port(), auth_require_tls=False, **common)
    with contextlib.ExitStack() as stack:
        for controller in (starttls, at_once, plain):
            controller.start()
            stack.callback(controller.stop)
        url = f"smtp://{USER}:{secret}@{HOST}"
        yield MailServer(
            kind="smtp", port=starttls.port, tls_port=at_once.port, plain_port=plain.port, user=USER, password=secret,
            ca_file=str(ca.ca_file), url=f"{url}:{starttls.port}",
            tls_url=f"smtps://{USER}:{secret}@{HOST}:{at_once.port}", received=received,
        )  # fmt: skip
