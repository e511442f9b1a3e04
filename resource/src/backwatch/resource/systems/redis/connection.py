"""Connections of redis-py and valkey-py with the checks in them: before the login, and on each reply."""

import socket
import ssl
from typing import Any, Final

from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.formats import check_value
from backwatch.resource.opening import TLS_FIX, Attachment, Session, read_peer, read_tls
from backwatch.resource.replies import MeteredSocket, MeteredTlsSocket, ReplyMeter, meter_reader, raise_refusal
from backwatch.resource.tls import make_context

LEADS: Final = "the service leads to"
REDIRECTS: Final = ("MOVED", "ASK")
SENTINEL_PORT: Final = 26_379
MAX_INFO_CHARACTERS: Final = 10_000
TIMEOUT_FIX: Final = "If the service may take that long, raise read_timeout_s"
PROBE: Final = b"PING\r\n"
MAX_PROOF_BYTES: Final = 200
HANDSHAKE_PART: Final = 0.6
"""Of the time to connect: a handshake that takes longer is reported as such."""


class _LateReply(ResourceUnsafe):
    """A reply that did not come in time; with the library's own class beside it."""

    def __reduce__(self) -> Any:
        """Become a plain refusal in another process."""
        return ResourceUnsafe, (self.resource, self.check, self.seen, self.fix)


class _Checks:
    """What both kinds of connection check, with the attachment and the library's errors."""

    def __init__(self, attachment: Attachment, errors: Any) -> None:
        self.attachment = attachment
        self.errors = errors
        self.late_reply = type("LateReplyError", (_LateReply, errors.TimeoutError), {})
        self.context = make_context(attachment.policy) if attachment.policy.enforced else None
        if self.context is not None:
            self.context.sslsocket_class = MeteredTlsSocket

    def load_client_certificate(self, connection: Any) -> None:
        """Use the client's certificate of a connection's options."""
        options = getattr(connection, "ssl_context", connection)
        certificate: Any = getattr(options, "certfile", None) or getattr(options, "keyfile", None)
        key: Any = getattr(options, "keyfile", None)
        if self.context is not None and certificate:
            password = getattr(connection, "certificate_password", None) or getattr(options, "password", None)
            self.context.load_cert_chain(certificate, key, password)

    def check_reply(self, reply: Any) -> None:
        """Refuse a format that runs code: in a value, or in a list or a hash of values."""
        if type(reply) is bytes:
            check_value(self.attachment, reply)
        elif type(reply) is list or type(reply) is dict:
            values: Any = reply.values() if type(reply) is dict else reply
            for value in values:
                if type(value) is bytes:
                    check_value(self.attachment, value)

    def check_endpoint(self, host: str, port: int, what: str) -> None:
        """Refuse a foreign host. Clusters' clients write loopback's name as its address."""
        variant, url = self.attachment.url.driver, self.attachment.url
        if variant == "sentinel" and (host, port) in url.endpoints(SENTINEL_PORT):
            return
        if variant == "cluster" and host == "127.0.0.1" and any(name == "localhost" for name, _ in url.hosts):
            host = "localhost"
        self.attachment.check_endpoint(host, port, what)

    def raise_refusal(self, error: BaseException) -> None:
        """Refuse a redirect to a foreign host, or raise what a check refused inside the library."""
        if isinstance(error, self.errors.ResponseError):
            if place := read_redirect(error):
                self.check_endpoint(*place, "the server redirects to")
        elif not self.is_timeout(error):
            raise_refusal(self.attachment, error)

    def raise_timeout(self, error: BaseException) -> None:
        """Raise a reply that does not come as a refusal that is the library's time-out too: apps handle both."""
        if self.attachment.policy.enforced and self.is_timeout(error) and not isinstance(error, ResourceUnsafe):
            seconds = self.attachment.policy.seconds("read_timeout_s")
            seen = f"no reply within {seconds:g} s"
            raise self.late_reply(self.attachment.name, "read_timeout_s", seen, TIMEOUT_FIX) from error

    def is_timeout(self, error: BaseException) -> bool:
        """Return whether it is the library's time-out, which stays what it is."""
        return isinstance(error, self.errors.TimeoutError) and "handshake" not in str(error.__context__)

    def wants_login_proof(self, connection: Any) -> bool:
        """Return whether a server must refuse a command before the login: ``auth`` is strong."""
        policy = self.attachment.policy
        return policy.enforced and policy.text("auth") == "strong" and bool(connection.password)

    def check_login_proof(self, reply: bytes) -> None:
        """Refuse a server that answers without a login: it would let every client in, with any password."""
        if not reply.startswith(b"-NOAUTH"):
            self.attachment.refuse(
                "auth", "the server answers commands without a login",
                "Give its default user a password (requirepass), or switch it off",
            )  # fmt: skip

    def refuse_handshake(self, error: OSError) -> None:
        """Refuse a server that does not speak TLS. Those that speak it badly are described by the error itself."""
        if isinstance(error, ssl.SSLError) or not self.attachment.policy.enforced:
            raise_refusal(self.attachment, error)
        self.attachment.refuse("tls", f"the server does not answer a TLS handshake ({type(error).__name__})", TLS_FIX)


def read_redirect(error: Any) -> tuple[str, int] | None:
    """Return where a reply redirects to, or ``None`` if it does not."""
    if isinstance(host := getattr(error, "host", None), str) and host:
        return host, int(error.port)
    word, _, rest = str(error).partition(" ")
    host, _, port = rest.rpartition(" ")[2].rpartition(":")
    return (host, int(port)) if word in REDIRECTS and host and port.isdecimal() else None


def read_server_version(reply: Any) -> str:
    """Return the version in a reply to ``INFO server``; Valkey's own, if it is one."""
    text: str = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    parts = (line.partition(":") for line in text[:MAX_INFO_CHARACTERS].splitlines())
    found = {name: value for name, _, value in parts}
    return found.get("valkey_version") or found.get("redis_version", "")


def guard(attachment: Attachment, base: Any, errors: Any) -> Any:
    """Return a subclass of a library's connection class, ``connection_class`` of its pools.

    Args:
        attachment: URL and policy.
        base: ``Connection``, ``SSLConnection`` or those of a Sentinel.
        errors: Module of the library's errors.
    """
    checks = _Checks(attachment, errors)
    secured = any(parent.__name__ == "SSLConnection" for parent in base.__mro__)
    plain_connect = next(parent for parent in base.__mro__ if parent.__name__ == "Connection")._connect

    class CheckedConnection(base):
        """The library's own connection. Errors that a check caused are ``ResourceUnsafe``."""

        _meter: ReplyMeter
        _version_is_open: bool = False

        def connect(self) -> None:
            """Connect and log in."""
            try:
                super().connect()
                self._check_version()
            except Exception as error:
                checks.raise_refusal(error)
                raise

        def connect_check_health(self, *arguments: Any, **options: Any) -> None:
            """Connect once. The library repeats that, but not what is refused here."""
            try:
                super().connect_check_health(*arguments, **options)
                self._check_version()
            except Exception as error:
                checks.raise_refusal(error)
                raise

        def _check_version(self) -> None:
            if self._version_is_open:
                self._version_is_open = False
                self.send_command("INFO", "server", check_health=False)
                attachment.check_version(read_server_version(self.read_response()))

        def _connect(self) -> Any:
            self._meter, self._version_is_open = ReplyMeter(attachment), bool(attachment.policy.text("min_version"))
            checks.check_endpoint(self.host, self.port, LEADS)
            if checks.context is None:
                opened = super()._connect()
            else:
                opened = plain_connect(self)
                opened = self._secure(opened, checks.context) if secured else MeteredSocket.take(opened)
                opened.meter = self._meter
            session = read_tls(opened) if isinstance(opened, ssl.SSLSocket) else Session(tls=False)
            try:
                attachment.check_session(session, address=read_peer(opened.fileno()))
                if checks.wants_login_proof(self):
                    opened.sendall(PROBE)
                    checks.check_login_proof(opened.recv(MAX_PROOF_BYTES))
            except BaseException:
                opened.close()
                raise
            return opened

        def _secure(self, plain: socket.socket, context: ssl.SSLContext) -> Any:
            checks.load_client_certificate(self)
            plain.settimeout(attachment.policy.seconds("connect_timeout_s") * HANDSHAKE_PART)
            try:
                secured = context.wrap_socket(plain, server_hostname=self.host)
            except OSError as error:
                plain.close()
                checks.refuse_handshake(error)
                raise
            secured.settimeout(self.socket_timeout)
            return secured

        def read_response(self, *arguments: Any, **options: Any) -> Any:
            """Read a reply of allowed length and format."""
            self._meter.start()
            try:
                reply = super().read_response(*arguments, **options)
                checks.check_reply(reply)
            except Exception as error:
                try:
                    checks.raise_refusal(error)
                except ResourceUnsafe:
                    self.disconnect()
                    raise
                if "timeout" not in options:
                    checks.raise_timeout(error)
                raise
            return reply

    CheckedConnection.__name__ = CheckedConnection.__qualname__ = base.__name__
    return CheckedConnection


def guard_async(attachment: Attachment, base: Any, errors: Any) -> Any:
    """Return a subclass of a library's asynchronous connection class. See :func:`guard`."""
    checks = _Checks(attachment, errors)

    class CheckedConnection(base):
        """The library's own connection. Errors that a check caused are ``ResourceUnsafe``."""

        _meter: ReplyMeter
        _version_is_open: bool = False
        _reader: Any
        _writer: Any

        async def connect(self) -> None:
            """Connect and log in."""
            try:
                await super().connect()
                await self._check_version()
            except Exception as error:
                checks.raise_refusal(error)
                raise

        async def connect_check_health(self, *arguments: Any, **options: Any) -> None:
            """Connect once. The library repeats that, but not what is refused here."""
            try:
                await super().connect_check_health(*arguments, **options)
                await self._check_version()
            except Exception as error:
                checks.raise_refusal(error)
                raise

        def _connection_arguments(self) -> Any:
            given = super()._connection_arguments()
            if checks.context is not None and "ssl" in given:
                checks.load_client_certificate(self)
                patience_s = attachment.policy.seconds("connect_timeout_s") * HANDSHAKE_PART
                given = {**given, "ssl": checks.context, "ssl_handshake_timeout": patience_s}
            return given

        async def _check_version(self) -> None:
            if self._version_is_open:
                self._version_is_open = False
                await self.send_command("INFO", "server", check_health=False)
                attachment.check_version(read_server_version(await self.read_response()))

        async def _connect(self) -> None:
            self._meter, self._version_is_open = ReplyMeter(attachment), bool(attachment.policy.text("min_version"))
            checks.check_endpoint(self.host, self.port, LEADS)
            try:
                await super()._connect()
            except OSError as error:
                if isinstance(error, (ssl.SSLError, ConnectionResetError, ConnectionAbortedError)):
                    checks.refuse_handshake(error)
                raise
            meter_reader(self._reader, self._meter)
            opened = self._writer.get_extra_info("ssl_object")
            peer = self._writer.get_extra_info("peername")
            try:
                attachment.check_session(
                    read_tls(opened) if opened else Session(tls=False),
                    address=str(peer[0]) if isinstance(peer, tuple) else "",
                )
                if checks.wants_login_proof(self):
                    self._writer.write(PROBE)
                    checks.check_login_proof(await self._reader.readline())
            except BaseException:
                self._writer.close()
                self._reader = self._writer = None
                raise

        async def read_response(self, *arguments: Any, **options: Any) -> Any:
            """Read a reply of allowed length and format."""
            self._meter.start()
            try:
                reply = await super().read_response(*arguments, **options)
                checks.check_reply(reply)
            except Exception as error:
                try:
                    checks.raise_refusal(error)
                except ResourceUnsafe:
                    await self.disconnect(nowait=True)
                    raise
                if "timeout" not in options:
                    checks.raise_timeout(error)
                raise
            return reply

    CheckedConnection.__name__ = CheckedConnection.__qualname__ = base.__name__
    return CheckedConnection
