"""Changes to kafka-python 3's network layer: bounded handshakes, and lookups that no fork interrupts.

The client's deadlines cover connecting and every request, but not the TLS handshake. With a broker that accepts a
connection and never completes the handshake, the constructor of a producer returned only when the broker closed. Until
then there was no other try, and no report of drops. Versions before 3.0 have a bound of their own.
"""

import inspect
import time
from functools import cache
from typing import Any, Final

from backwatch.collector.runtime.forks import hold_forks_for_lookup

HANDSHAKE_S: Final = 3.0
"""Timeout of each response within a handshake: as long as a whole connection attempt."""


def make_client_factory() -> Any:
    """Return a value for kafka-python's option ``kafka_client``; ``None`` if its own client has the bound."""
    try:
        from kafka.net.compat import KafkaNetClient
        from kafka.net.selector import NetworkSelector
    except ImportError:
        return None
    if "timeout_at" not in inspect.signature(NetworkSelector.wait_read).parameters:
        return None

    class BoundedSelector(NetworkSelector):
        """A selector with a deadline for peers that have not completed their handshake."""

        def wait_read(self, fileobj: Any, timeout_at: float | None = None) -> Any:
            return super().wait_read(fileobj, _handshake_deadline(fileobj) if timeout_at is None else timeout_at)

        def wait_write(self, fileobj: Any, timeout_at: float | None = None) -> Any:
            return super().wait_write(fileobj, _handshake_deadline(fileobj) if timeout_at is None else timeout_at)

    return lambda **options: KafkaNetClient(net=BoundedSelector(**options), **options)


_SCHEME: Final = "backwatch-direct"


@cache
def get_direct_url() -> str:
    """Return the ``proxy_url`` for direct connections whose lookups hold up forks; empty in older clients.

    The client lets a caller replace its lookup only by a class for a URL scheme.
    """
    try:
        from kafka.net.inet import KafkaNetSocket
    except ImportError:
        return ""
    if not hasattr(KafkaNetSocket, "dns_lookup"):
        return ""

    class DirectSocket(KafkaNetSocket):
        """The client's own socket with another lookup."""

        SCHEMES = (_SCHEME,)

        def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> Any:
            with hold_forks_for_lookup():
                return super().dns_lookup(host, port, raise_error)

    return f"{DirectSocket.SCHEMES[0]}://"


def _handshake_deadline(socket: Any) -> float | None:
    """Return the deadline of a handshake; ``None`` for an established connection, which may be silent for hours."""
    version = getattr(socket, "version", None)
    return time.monotonic() + HANDSHAKE_S if version is not None and version() is None else None
