"""Bounds on what a service sends: a meter of bytes for each reply, in sockets and stream readers of drivers."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, Self

from backwatch.resource.errors import ResourceUnsafe, walk_causes
from backwatch.resource.opening import Attachment

PAUSE_S: Final = 1.0
SIZE_FIX: Final = "If replies are meant to be that long, raise max_reply_bytes"


class ReplyMeter:
    """Bytes of the reply that is being received; refuses the first one beyond ``max_reply_bytes``.

    Outside of mode enforce it has no limit.

    Args:
        attachment: URL and policy.
        on_refusal: Gets a refusal before it is raised, where a driver would hide it.
    """

    __slots__ = ("_attachment", "_limit", "_newest", "_on_refusal", "_received")

    def __init__(self, attachment: Attachment, on_refusal: Callable[[ResourceUnsafe], None] | None = None) -> None:
        self._on_refusal = on_refusal
        self._attachment = attachment
        self._limit = attachment.policy.count("max_reply_bytes") if attachment.policy.enforced else 0
        self._received = 0
        self._newest = 0.0

    def start(self) -> None:
        """Begin with the next reply."""
        self._received = 0

    def add(self, count: int) -> None:
        """Count received or announced bytes. After a pause of a second, another reply begins.

        Raises:
            ResourceUnsafe: The reply is longer than allowed.
        """
        now = time.monotonic()
        self._received = count if now - self._newest > PAUSE_S else self._received + count
        self._newest = now
        if self._limit and self._received > self._limit:
            try:
                self._attachment.refuse("max_reply_bytes", f"a reply has more than {self._limit} bytes", SIZE_FIX)
            except ResourceUnsafe as error:
                if self._on_refusal is not None:
                    self._on_refusal(error)
                raise


class _Metered:
    """Counts what a socket receives. Without a meter, it is the socket that it extends."""

    meter: ReplyMeter | None = None
    per_request: bool = False

    def recv(self, *arguments: Any, **options: Any) -> bytes:
        """Receive, and count."""
        data: bytes = super().recv(*arguments, **options)  # type: ignore[misc]
        if self.meter is not None:
            self.meter.add(len(data))
        return data

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        """Receive into a buffer, and count."""
        count: int = super().recv_into(*arguments, **options)  # type: ignore[misc]
        if self.meter is not None:
            self.meter.add(count)
        return count

    def send(self, *arguments: Any, **options: Any) -> int:
        """Send. See :meth:`sendall`."""
        if self.meter is not None and self.per_request:
            self.meter.start()
        return super().send(*arguments, **options)  # type: ignore[misc]

    def sendall(self, *arguments: Any, **options: Any) -> None:
        """Send. With ``per_request``, whatever is received next is another reply."""
        if self.meter is not None and self.per_request:
            self.meter.start()
        super().sendall(*arguments, **options)  # type: ignore[misc]


class MeteredSocket(_Metered, socket.socket):
    """A plain socket with a meter."""

    @classmethod
    def take(cls, plain: socket.socket) -> Self:
        """Return a socket on the connection of another one, which is left without it."""
        timeout = plain.gettimeout()
        taken = cls(plain.family, plain.type, plain.proto, fileno=plain.detach())
        taken.settimeout(timeout)
        return taken


class MeteredTlsSocket(_Metered, ssl.SSLSocket):
    """A TLS socket with a meter: ``context.sslsocket_class = MeteredTlsSocket``."""


def meter_reader(reader: asyncio.StreamReader, meter: ReplyMeter) -> None:
    """Let a stream reader count what it is fed; the pending read raises what the meter refuses."""
    feed = reader.feed_data

    def feed_data(data: Any) -> None:
        try:
            meter.add(len(data))
        except ResourceUnsafe as error:
            reader.set_exception(error)
        else:
            feed(data)

    reader.feed_data = feed_data


def raise_refusal(attachment: Attachment, error: BaseException) -> None:
    """Raise the refusal behind a driver's error, wherever it stands in the chain; otherwise return.

    Drivers turn errors out of their sockets and threads into errors of their own.

    Raises:
        ResourceUnsafe: A check caused the error.
    """
    for found in walk_causes(error, contexts=True):
        if isinstance(found, ResourceUnsafe) and found.resource == attachment.name:
            if found is error:
                raise found
            raise ResourceUnsafe(found.resource, found.check, found.seen, found.fix) from error
    attachment.refuse_error(error)
