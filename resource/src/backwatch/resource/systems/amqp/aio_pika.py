"""aio-pika: connections on asyncio, plain and robust ones."""

import asyncio
from typing import Any, ClassVar, Final

from backwatch.resource.opening import Attachment, Session
from backwatch.resource.systems.amqp import (
    HEARTBEAT_S,
    SECURE_SCHEME,
    Amqp,
    endpoints,
    make_context,
    read_version,
    virtual_host,
)

CONTROLLED: Final = ("ssl", "ssl_context", "ssl_options", "url", "host", "port")


class AioPika(Amqp):
    """Hands out bodies as bytes: what an app makes of them is its own."""

    module: ClassVar = "aio_pika"
    package: ClassVar = "aio-pika"
    rank: ClassVar = 20
    cannot: ClassVar = {
        **Amqp.cannot,
        "formats": "hands out bodies as bytes; the app chooses how to read them",
        "max_reply_bytes": "shows a message's length after it has read it; the broker's max_message_size limits it",
    }

    async def aconnect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an ``aio_pika.Connection``; options are those of ``connect``. Only the URL's first host is used."""
        import aio_pika

        return await _open(attachment, aio_pika.connect, options)

    async def aclient(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an ``aio_pika.RobustConnection``, which opens itself again; each time it is checked.

        One connection is opened first: a robust one tries without end, and hides why it cannot connect.
        """
        import aio_pika

        await (await _open(attachment, aio_pika.connect, dict(options))).close()
        return await _open(attachment, aio_pika.connect_robust, options)


async def _open(attachment: Attachment, connect: Any, options: dict[str, Any]) -> Any:
    policy, url = attachment.policy, attachment.url
    context = await asyncio.to_thread(make_context, attachment)
    host, port = endpoints(attachment)[0]
    given: dict[str, Any] = {
        "host": host, "port": port, "virtualhost": virtual_host(attachment), "login": url.user or "guest",
        "password": url.password or "guest", "ssl": url.scheme == SECURE_SCHEME,
    }  # fmt: skip
    if policy.enforced:
        attachment.refuse_option(options, CONTROLLED, "tls")
        given |= {
            "ssl": context is not None, "ssl_context": context, "timeout": policy.seconds("connect_timeout_s"),
            "heartbeat": int(url.query.get("heartbeat", HEARTBEAT_S)),
        }  # fmt: skip
    else:
        given |= url.query
    try:
        connection = await connect(**{**given, **options})
    except Exception as error:
        if context is not None:
            context.raise_refusal(error)
        raise
    await _check_opened(attachment, connection, checked=context is not None)
    return connection


async def _check_opened(attachment: Attachment, connection: Any, *, checked: bool) -> None:
    """Judge version and, without a checked context, encryption. The library does not show its socket."""
    opened = getattr(connection.transport, "connection", None)
    try:
        if not checked and attachment.url.scheme != SECURE_SCHEME:
            attachment.check_session(Session(tls=False))
        attachment.check_version(read_version(getattr(opened, "server_properties", {})))
    except BaseException:
        await connection.close()
        raise
