"""Bounds on what a PostgreSQL server answers, inside psycopg's own waiting: bytes, and time without an answer."""

import os
import socket
import struct
import time
from collections.abc import Generator
from typing import Any, Final

from backwatch.resource.opening import Attachment

CHECK_EVERY: Final = 32
"""Arrivals of data between two looks at the socket's counter: ordinary replies are over before the first."""
BYTES_RECEIVED: Final = struct.Struct("=128xQ")
"""``tcpi_bytes_received`` in Linux's ``struct tcp_info``."""
ACTIVE: Final = 1
"""``PQTRANS_ACTIVE``: a statement is being answered; an idle LISTEN may wait for ever."""


def bound(generator: Generator[Any, Any, Any], connection: Any, attachment: Attachment) -> Generator[Any, Any, Any]:
    """Pass a generator of psycopg on; end it when the reply is too long or too slow.

    Raises:
        ResourceUnsafe: The mode is enforce; the connection is closed then.
    """
    policy, wakes, first, ends = attachment.policy, 0, -1, 0.0
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if ready:
                wakes += 1
                if wakes % CHECK_EVERY == 0:
                    received = _count_received(connection.pgconn.socket)
                    first = received if first < 0 else first
                    if received - first > policy.count("max_reply_bytes"):
                        _refuse(connection, attachment, "max_reply_bytes", f"a reply of over {received - first} bytes")
            elif not ends:  # the clock starts at the first time without data, a tenth of a second after the statement
                ends = time.monotonic() + policy.seconds("read_timeout_s")
            elif time.monotonic() > ends and connection.pgconn.transaction_status == ACTIVE:
                seconds = policy.seconds("read_timeout_s")
                _refuse(connection, attachment, "read_timeout_s", f"no answer within {seconds:g} s")
            wanted = generator.send(ready)
    except StopIteration as ended:
        return ended.value


def _refuse(connection: Any, attachment: Attachment, check: str, seen: str) -> None:
    connection.pgconn.finish()
    attachment.refuse(check, seen, f"If such replies are meant, raise {check} of this resource")


def _count_received(descriptor: int) -> int:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connected:
            facts = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED.size)
            return BYTES_RECEIVED.unpack(facts)[0]
    except (OSError, struct.error):  # a Unix socket, or another system than Linux
        return 0


def refuse_rows(attachment: Attachment, count: int) -> None:
    """Refuse a result with too many rows."""
    limit = attachment.policy.count("max_rows")
    if count > limit:
        attachment.refuse(
            "max_rows", f"a result of {count} rows, over {limit}",
            "If such results are meant, raise max_rows of this resource, or read with a server-side cursor",
        )  # fmt: skip
