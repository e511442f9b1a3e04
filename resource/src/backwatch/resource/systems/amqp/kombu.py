"""kombu, the messaging library below Celery, on py-amqp."""

import socket
from dataclasses import replace
from typing import Any, ClassVar, Final

from backwatch.resource.checked_tls import CheckedContext
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.formats import check_value, refuse_format
from backwatch.resource.opening import Attachment, Session, read_peer, read_tls
from backwatch.resource.replies import raise_refusal
from backwatch.resource.systems.amqp import (
    HEARTBEAT_S,
    SECURE_SCHEME,
    Amqp,
    check_content_header,
    check_frame_size,
    endpoints,
    make_context,
    read_version,
    virtual_host,
)  # fmt: skip

CONTROLLED: Final = ("ssl", "hostname", "port", "transport", "failover_strategy", "uri_prefix")
FORMAT_OF_TYPE: Final = {
    "application/json": "json", "text/plain": "text", "application/data": "raw", "application/octet-stream": "raw",
    "application/x-python-serialize": "pickle", "application/x-yaml": "yaml", "application/x-msgpack": "msgpack",
}  # fmt: skip
"""The policy's name of each content type that kombu reads."""
HEADER_FRAME: Final = 2


class Kombu(Amqp):
    """Reads messages only in the formats of the policy, whatever a consumer accepts."""

    module: ClassVar = "kombu"
    rank: ClassVar = 30

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``kombu.Connection``. It connects with its first use, and again when a broker is lost."""
        from kombu.connection import Connection

        context = make_context(attachment)
        policy, url = attachment.policy, attachment.url
        hosts = endpoints(attachment)
        given: dict[str, Any] = {
            "hostname": hosts[0][0], "port": hosts[0][1], "userid": url.user, "password": url.password,
            "virtual_host": virtual_host(attachment), "transport": check_transport(attachment, context),
            "ssl": context is not None or url.scheme == SECURE_SCHEME,
        }  # fmt: skip
        if len(hosts) > 1:
            given["alternates"] = [_alternate(attachment, *each) for each in hosts[1:]]
        if policy.enforced:
            attachment.refuse_option(options, CONTROLLED, "tls")
            given |= {
                "connect_timeout": policy.seconds("connect_timeout_s"),
                "heartbeat": int(url.query.get("heartbeat", HEARTBEAT_S)),
                "transport_options": {
                    "read_timeout": policy.seconds("read_timeout_s"),
                    "write_timeout": policy.seconds("read_timeout_s"), **options.pop("transport_options", {}),
                },
            }  # fmt: skip
        return Connection(**{**given, **options})


def _alternate(attachment: Attachment, host: str, port: int) -> str:
    return replace(attachment.url, hosts=((host, port),), scheme="amqp").rebuild(query={})


def check_transport(attachment: Attachment, context: CheckedContext | None) -> Any:
    """Return a subclass of kombu's transport, whose sockets use a checked context and whose messages are judged."""
    from amqp.method_framing import frame_handler
    from kombu.transport import pyamqp

    base_message: Any = pyamqp.Message
    base_channel: Any = pyamqp.Channel
    base_connection: Any = pyamqp.Connection
    base_transport: Any = pyamqp.Transport

    class CheckedMessage(base_message):
        """The library's own message."""

        def _decode(self) -> Any:
            name = FORMAT_OF_TYPE.get(str(self.content_type or "application/data"), str(self.content_type)[:80])
            if name not in attachment.policy.texts("formats"):
                refuse_format(attachment, f"a message in the format {name}", name)
            if isinstance(self.body, bytes):
                check_value(attachment, self.body, "a message")
            return super()._decode()

    class CheckedChannel(base_channel):
        """The library's own channel."""

        Message = CheckedMessage

    def handle_frames(connection: Any, callback: Any) -> Any:
        on_frame = frame_handler(connection, callback)

        def on_checked_frame(frame: Any) -> Any:
            if frame[0] == HEADER_FRAME:
                try:
                    check_content_header(attachment, frame[2])
                except ResourceUnsafe:
                    connection.collect()
                    raise
            return on_frame(frame)

        return on_checked_frame

    class CheckedConnection(base_connection):
        """The library's own connection."""

        Channel = CheckedChannel

        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "frame_handler": handle_frames})

        def Transport(self, *given: Any, **options: Any) -> Any:  # noqa: N802  the library's name
            """Return the library's own transport, with the checks in it."""
            if context is None:
                return super().Transport(*given, **options)
            named = dict(zip(("host", "connect_timeout", "ssl", "read_timeout", "write_timeout"), given, strict=False))
            return _secured_transport(attachment, context)(**{**named, **options, "ssl": {}})

        def connect(self, callback: Any = None) -> Any:
            """Connect and log in."""
            try:
                connected = super().connect(callback)
            except Exception as error:
                self.collect()
                raise_refusal(attachment, error)
                if context is not None:
                    context.raise_refusal(error)
                raise
            opened = self.transport.sock
            if context is None and isinstance(opened, socket.socket):
                session = read_tls(opened) if hasattr(opened, "getpeercert") else Session(tls=False)
                attachment.check_session(session, address=read_peer(opened.fileno()))
            attachment.check_version(read_version(self.server_properties))
            return connected

    class CheckedTransport(base_transport):
        """The library's own transport."""

        Connection = CheckedConnection

    return CheckedTransport


def _secured_transport(attachment: Attachment, context: CheckedContext) -> Any:
    from amqp.transport import SSLTransport

    base: Any = SSLTransport

    class CheckedTransport(base):
        """The library's own transport over TLS."""

        def _wrap_socket(self, sock: socket.socket, **_: Any) -> Any:
            name = server_name(attachment, self.host)
            return context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)

        def _read(self, count: int, *arguments: Any, **options: Any) -> Any:
            check_frame_size(attachment, count)
            return super()._read(count, *arguments, **options)

    return CheckedTransport


def server_name(attachment: Attachment, host: str) -> str:
    """Return the name to verify: kombu connects to ``127.0.0.1`` if the URL names ``localhost``."""
    names = [name for name, _ in attachment.url.hosts]
    return "localhost" if host == "127.0.0.1" and host not in names and "localhost" in names else host
