"""pika: blocking connections."""

import socket
from typing import Any, ClassVar, Final

from backwatch.resource.checked_tls import CheckedContext
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import Attachment, Session, read_peer, read_tls
from backwatch.resource.replies import raise_refusal
from backwatch.resource.systems.amqp import (
    HEARTBEAT_S,
    MAX_FRAME_BYTES,
    Amqp,
    check_body_size,
    check_frame_size,
    endpoints,
    make_context,
    read_version,
    virtual_host,
)  # fmt: skip

CONTROLLED: Final = ("ssl_options", "host", "port", "frame_max")


class Pika(Amqp):
    """Hands out bodies as bytes: what an app makes of them is its own."""

    module: ClassVar = "pika"
    rank: ClassVar = 10
    cannot: ClassVar = {**Amqp.cannot, "formats": "hands out bodies as bytes; the app chooses how to read them"}

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``pika.BlockingConnection``; options are those of ``ConnectionParameters``."""
        import pika
        from pika.adapters.select_connection import SelectConnection

        context = make_context(attachment)
        if attachment.policy.enforced:
            attachment.refuse_option(options, CONTROLLED, "tls")
        parameters = [_parameters(attachment, context, *each, options) for each in endpoints(attachment)]
        try:
            connection = check_connection(attachment, pika.BlockingConnection)(
                parameters, _impl_class=check_frames(attachment, SelectConnection)
            )
        except Exception as error:
            if context is not None:
                context.raise_refusal(error)
            raise
        _check_opened(attachment, connection, checked=context is not None)
        return connection


def _parameters(
    attachment: Attachment, context: CheckedContext | None, host: str, port: int, options: dict[str, Any]
) -> Any:
    import pika

    policy, url = attachment.policy, attachment.url
    parameters = pika.URLParameters(url.rebuild(query={} if policy.enforced else None, first_host=True))
    given: dict[str, Any] = {"host": host, "port": port, "virtual_host": virtual_host(attachment)}
    if policy.enforced:
        given |= {
            "ssl_options": None if context is None else pika.SSLOptions(context, host), "frame_max": MAX_FRAME_BYTES,
            "socket_timeout": policy.seconds("connect_timeout_s"),
            "stack_timeout": policy.seconds("connect_timeout_s") * 2,
            "blocked_connection_timeout": policy.seconds("read_timeout_s"),
            "heartbeat": int(url.query.get("heartbeat", HEARTBEAT_S)),
        }  # fmt: skip
    for name, value in {**given, **options}.items():
        setattr(parameters, name, value)
    return parameters


def _check_opened(attachment: Attachment, connection: Any, *, checked: bool) -> None:
    """Judge version and, without a checked context, encryption."""
    opened = getattr(connection._impl._transport, "_sock", None)
    try:
        if isinstance(opened, socket.socket) and not checked:
            session = read_tls(opened) if hasattr(opened, "getpeercert") else Session(tls=False)
            attachment.check_session(session, address=read_peer(opened.fileno()))
        attachment.check_version(read_version(connection._impl.server_properties))
    except BaseException:
        connection.close()
        raise


def check_connection(attachment: Attachment, base: Any) -> Any:
    """Return a subclass of the library's connection, which passes refusals on as they are."""

    class CheckedConnection(base):
        """The library's own connection."""

        def _flush_output(self, *waiters: Any) -> None:
            try:
                super()._flush_output(*waiters)
            except Exception as error:
                raise_refusal(attachment, error)
                if (refused := getattr(self._impl, "refused", None)) is not None:
                    raise ResourceUnsafe(refused.resource, refused.check, refused.seen, refused.fix) from error
                raise

    CheckedConnection.__name__ = CheckedConnection.__qualname__ = base.__name__
    return CheckedConnection


def check_frames(attachment: Attachment, base: Any) -> Any:
    """Return a subclass of the connection below a blocking one: it reads no frame and no message beyond the bounds."""
    from pika import frame

    class CheckedFrames(base):
        """The library's own connection."""

        refused: ResourceUnsafe | None = None

        def _on_data_available(self, data: bytes) -> None:
            super()._on_data_available(data)
            self._keep(check_frame_size, len(self._frame_buffer))

        def _process_frame(self, value: Any) -> None:
            if isinstance(value, frame.Header):
                self._keep(check_body_size, value.body_size)
            super()._process_frame(value)

        def _keep(self, check: Any, size: int) -> None:
            try:
                check(attachment, size)
            except ResourceUnsafe as error:
                self.refused = error
                raise

    CheckedFrames.__name__ = CheckedFrames.__qualname__ = base.__name__
    return CheckedFrames
