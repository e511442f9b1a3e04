"""Sockets of drivers in Python: connected to a judged address, with bounds on what one reply may cost."""

import contextlib
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Final

from backwatch.resource.opening import Attachment
from backwatch.resource.tls import find_ca_file, make_context

MAX_CONTEXTS: Final = 100
_Socket: Any = object
_contexts: dict[tuple[str, str, str, int, bool], ssl.SSLContext] = {}
_lock = threading.Lock()
FRAMING_BYTES: Final = 1 << 20
"""What a reply may have on the wire above its bound: headers, packets, TLS 1.3 tickets."""


class ReplyBudget:
    """Bytes that one reply may have, and seconds that the app may wait for all of it.

    Args:
        attachment: Of the resource.
        seconds: Longest wait; the app's own time between two reads does not count.
        max_bytes: Most bytes; ``None``: ``max_reply_bytes`` of the policy.
    """

    def __init__(self, attachment: Attachment, seconds: float, max_bytes: int | None = None) -> None:
        self._attachment = attachment
        self.seconds = seconds
        self.max_bytes = attachment.policy.count("max_reply_bytes") if max_bytes is None else max_bytes
        self.restart()

    def restart(self) -> None:
        """Begin the next reply."""
        self.left_s = self.seconds
        self.left_bytes = self.max_bytes + FRAMING_BYTES

    def take(self, count: int, waited_s: float) -> None:
        """Count what a read brought.

        Raises:
            ResourceUnsafe: It was more than one reply may have.
        """
        self.left_bytes -= count
        self.left_s -= waited_s
        if self.left_bytes < 0:
            self.refuse_size()

    def refuse_size(self, seen: str = "") -> None:
        """Refuse a reply that is too large."""
        self._attachment.refuse(
            "max_reply_bytes", seen or f"a reply has more than {self.max_bytes} bytes",
            "Ask for less at a time, or raise max_reply_bytes if replies of this size are meant",
        )  # fmt: skip

    def refuse_time(self) -> None:
        """Refuse a reply that takes too long."""
        self._attachment.refuse(
            "statement_timeout_s", f"a reply was not complete after {self.seconds:g} s of waiting",
            "Raise statement_timeout_s if replies that take so long are meant",
        )  # fmt: skip


class _Bounded(_Socket):
    """Reads within a budget, once it has one."""

    budget: ReplyBudget | None = None

    def recv(self, *arguments: Any, **options: Any) -> Any:
        budget = self.budget
        if budget is None:
            return super().recv(*arguments, **options)
        return self._read_bounded(budget, super().recv, len, arguments, options)

    def recv_into(self, *arguments: Any, **options: Any) -> Any:
        budget = self.budget
        if budget is None:
            return super().recv_into(*arguments, **options)
        limit = self.gettimeout()
        if limit is None or not 0 < limit <= budget.left_s:
            return self._read_bounded(budget, super().recv_into, int, arguments, options)
        started = time.monotonic()
        count = super().recv_into(*arguments, **options)
        budget.take(count, time.monotonic() - started)
        return count

    def _read_bounded(self, budget: ReplyBudget, read: Any, measure: Any, arguments: Any, options: Any) -> Any:
        limit = self.gettimeout()
        if limit == 0:
            return read(*arguments, **options)
        shortened = limit is None or limit > budget.left_s
        started = time.monotonic()
        if shortened:
            self.settimeout(max(budget.left_s, 0.001))
        try:
            found = read(*arguments, **options)
        except TimeoutError:
            if shortened:
                budget.refuse_time()
            raise
        finally:
            if shortened:
                with contextlib.suppress(OSError):
                    self.settimeout(limit)
        budget.take(measure(found), time.monotonic() - started)
        return found


class BoundedSocket(_Bounded, socket.socket):
    """A plain socket with a budget."""


class BoundedSSLSocket(_Bounded, ssl.SSLSocket):
    """A TLS socket with a budget; contexts make it by ``sslsocket_class``."""


def make_bounded_context(attachment: Attachment) -> ssl.SSLContext:
    """Return the policy's context, whose sockets take a budget."""
    context = make_context(attachment.policy)
    context.sslsocket_class = BoundedSSLSocket
    return context


def share_context(attachment: Attachment, *, bounded: bool = True) -> ssl.SSLContext:
    """Return the policy's context for drivers that need one for each connection: loading authorities takes long.

    Args:
        attachment: Of the resource.
        bounded: Whether its sockets take a budget.
    """
    policy = attachment.policy
    named = policy.text("ca")
    modified_ns = 0 if named == "system" else Path(find_ca_file(policy)).stat().st_mtime_ns
    key = policy.text("tls"), policy.text("tls_min"), named, modified_ns, bounded
    if (found := _contexts.get(key)) is not None:
        return found
    made = make_bounded_context(attachment) if bounded else make_context(policy)  # without a lock: a fork may come
    with _lock:
        if len(_contexts) >= MAX_CONTEXTS:
            _contexts.clear()
        return _contexts.setdefault(key, made)


def set_budget(connected: object, budget: ReplyBudget) -> None:
    """Give a socket of this module a budget; leave others alone."""
    if isinstance(connected, _Bounded):
        connected.budget = budget


def open_socket(attachment: Attachment, host: str, port: int, timeout_s: float | None) -> BoundedSocket:
    """Connect to an address that was judged, and to no other one.

    A name server may answer otherwise on the next question, so the driver is not left to resolve the name again.

    Args:
        attachment: Of the resource; its ``hosts`` are not asked.
        host: Name or address.
        port: TCP port.
        timeout_s: For each address.

    Raises:
        ResourceUnsafe: It leads where it must not.
        OSError: It does not resolve, or no address accepts.
    """
    places = attachment.check_address(host, port)
    failure: OSError | None = None
    for place in places:
        family = socket.AF_INET6 if place.address.version == 6 else socket.AF_INET
        connected = BoundedSocket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(timeout_s)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connected.connect((str(place.address), port))
        except OSError as error:
            connected.close()
            failure = error
        else:
            return connected
    raise failure or OSError(f"{host} has no address")
