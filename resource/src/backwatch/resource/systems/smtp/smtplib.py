"""smtplib: a session that has upgraded to verified TLS and logged in."""

import smtplib
import socket
from typing import Any, ClassVar, Final

from backwatch.resource.bounded import ReplyBudget, open_socket, set_budget, share_context
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import TLS_FIX, Attachment, Session, read_peer, read_tls
from backwatch.resource.systems import Driver

MAX_REPLY_BYTES: Final = 1 << 20
"""Most bytes of one reply: a greeting has some lines, but the protocol allows any number."""
PROOFS: Final = ("CRAM-MD5",)
"""Mechanisms of smtplib that prove the password and keep it."""
IMPLICIT_TLS: Final = "smtps"
LOGIN_FIX: Final = "Let the server offer CRAM-MD5, or set auth = 'no-clear-text' to send the password inside TLS"


class SMTP(Driver):
    """Subclasses of ``smtplib.SMTP`` and ``smtplib.SMTP_SSL`` (smtps)."""

    module: ClassVar = "smtplib"
    system: ClassVar = "smtp"
    schemes: ClassVar = ("smtp", "smtps", "submission")
    default_port: ClassVar = 25
    ports: ClassVar = {"smtps": 465, "submission": 587}
    cannot: ClassVar = {
        "read_only": "to send mail is to write", "min_version": "mail servers announce no version",
        "max_rows": "replies are no rows; a reply has at most a mebibyte",
    }  # fmt: skip

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``smtplib.SMTP``, logged in if the URL has a user. Options are its own."""
        attachment.check_places()
        url, policy = attachment.url, attachment.policy
        implicit = url.scheme == IMPLICIT_TLS
        host, port = url.host, url.port(attachment.default_port)
        if not policy.enforced:
            session: Any = _open_bare(host, port, implicit=implicit, options=options)
        else:
            attachment.refuse_option(options, ("context", "host", "port"), "tls")
            options = {"timeout": policy.seconds("connect_timeout_s"), **options}
            session = (_JudgedSMTPS if implicit else _JudgedSMTP)(attachment, host, port, **options)
        try:
            if policy.enforced and attachment.needs_tls and not implicit:
                session.starttls()
            encrypted = hasattr(session.sock, "getpeercert")
            shown = read_tls(session.sock) if encrypted else Session(tls=False)
            attachment.check_session(shown, address=read_peer(session.sock.fileno()))
            if policy.enforced:
                session.timeout = policy.seconds("read_timeout_s")
                session.sock.settimeout(session.timeout)
            if url.user is not None:
                session.login(url.user, url.password or "")
        except BaseException:
            session.close()
            raise
        return session

    session = connect


def _open_bare(host: str, port: int, *, implicit: bool, options: dict[str, Any]) -> smtplib.SMTP:
    """Connect as most apps do: the library's defaults, and TLS if the server offers it."""
    if implicit:
        return smtplib.SMTP_SSL(host, port, **options)
    session = smtplib.SMTP(host, port, **options)
    session.ehlo_or_helo_if_needed()
    if session.has_extn("starttls"):
        session.starttls()
    return session


class _JudgedSMTP(smtplib.SMTP):
    """A session that refuses an unsafe server before it sends a password or a mail."""

    def __init__(self, attachment: Attachment, host: str, port: int, **options: Any) -> None:
        self._attachment = attachment
        self._proof_refused = False
        limit = min(MAX_REPLY_BYTES, attachment.policy.count("max_reply_bytes"))
        self._reply_budget = ReplyBudget(attachment, attachment.policy.seconds("statement_timeout_s"), limit)
        try:
            super().__init__(host, port, **options)
        except OSError as error:
            attachment.refuse_error(error)
            raise

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = open_socket(self._attachment, host, port, timeout)
        set_budget(connected, self._reply_budget)
        return connected

    def send(self, s: Any) -> None:
        self._reply_budget.restart()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        try:
            return super().getreply()
        except smtplib.SMTPServerDisconnected as error:  # which is what smtplib makes of any error of a socket
            if isinstance(error.__context__, ResourceUnsafe):
                raise error.__context__ from None
            raise

    def starttls(self, *arguments: Any, **options: Any) -> tuple[int, bytes]:
        """Upgrade to TLS as the policy asks; refuse a server that hides it or that sends bytes before it."""
        attachment = self._attachment
        self.ehlo_or_helo_if_needed()
        if not self.has_extn("starttls"):
            attachment.refuse("tls", "the server does not offer STARTTLS", TLS_FIX)
        named = dict(zip(("keyfile", "certfile", "context"), arguments, strict=False)) | options
        attachment.refuse_option(named, tuple(named), "tls")
        try:
            code, reply = super().starttls(context=share_context(attachment))
        except OSError as error:  # smtplib's own exceptions among them
            attachment.refuse_error(error)
            if isinstance(error, smtplib.SMTPResponseException):
                attachment.refuse("tls", f"the server answers STARTTLS with {error.smtp_code}", TLS_FIX)
            raise
        set_budget(self.sock, self._reply_budget)
        return code, reply

    def docmd(self, cmd: str, args: str = "") -> tuple[int, bytes]:
        code, reply = super().docmd(cmd, args)
        if cmd == "STARTTLS" and code == 220:
            self._refuse_injected()
        return code, reply

    def _refuse_injected(self) -> None:
        """Refuse what stands behind the reply to STARTTLS: it came outside TLS, and may pose as a later reply."""
        file: Any = self.file
        connected: Any = self.sock
        limit = connected.gettimeout()
        connected.settimeout(0)
        try:
            injected = bool(file.peek(1))
        except BlockingIOError:
            injected = False
        finally:
            connected.settimeout(limit)
        if injected:
            self.close()
            self._attachment.refuse("tls", "the server sent bytes in plaintext behind its reply to STARTTLS", TLS_FIX)

    def login(self, user: str, password: str, *, initial_response_ok: bool = True) -> tuple[int, bytes]:
        """Log in, inside TLS only."""
        attachment = self._attachment
        if attachment.needs_tls and not hasattr(self.sock, "getpeercert"):
            attachment.refuse("tls", "a login in plaintext", "Call starttls() before, or use session()")
        self.ehlo_or_helo_if_needed()
        offered = self.esmtp_features.get("auth", "").upper().split()
        if attachment.policy.text("auth") == "strong" and not set(offered) & set(PROOFS):
            attachment.refuse("auth", f"the server offers {', '.join(offered) or 'no login'}", LOGIN_FIX)
        return super().login(user, password, initial_response_ok=initial_response_ok)

    def auth(self, mechanism: str, authobject: Any, *, initial_response_ok: bool = True) -> tuple[int, bytes]:
        """Log in by one mechanism; a server that refused a proof does not get the password itself."""
        wanted = self._attachment.policy.text("auth")
        reveals = mechanism.upper() not in PROOFS
        if reveals and (wanted == "strong" or (self._proof_refused and wanted != "any")):
            self._attachment.refuse("auth", f"the server refused a proof, and now wants {mechanism}", LOGIN_FIX)
        try:
            return super().auth(mechanism, authobject, initial_response_ok=initial_response_ok)
        except smtplib.SMTPAuthenticationError:
            self._proof_refused = self._proof_refused or not reveals
            raise


class _JudgedSMTPS(_JudgedSMTP, smtplib.SMTP_SSL):
    """The same over TLS from the first byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = super()._get_socket(host, port, timeout)
        context = share_context(self._attachment)
        encrypted = context.wrap_socket(connected, server_hostname=host)
        set_budget(encrypted, self._reply_budget)
        return encrypted
