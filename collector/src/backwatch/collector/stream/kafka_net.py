"""What the collector changes in kafka-python 3's network: bounded handshakes, and look-ups that no fork cuts in two.

The client has no bound for a broker that takes a connection and never ends its handshake.

Its deadlines cover connecting and every request, but not TLS' handshake: the constructor of a producer came back only
when the broker closed, and until then nothing was tried again, nor any drop told. Before 3.0 it bounds this itself.
"""

import inspect
import time
from functools import cache
from typing import Any, Final

from backwatch.collector.runtime.forks import hold_forks_for_lookup

HANDSHAKE_S: Final = 3.0
"""For each answer within a handshake: as long as a connection may take in all."""


def client_with_bounds() -> Any:
    """What kafka-python's option ``kafka_client`` takes; ``None`` where its own client is as good."""
    try:
        from kafka.net.compat import KafkaNetClient
        from kafka.net.selector import NetworkSelector
    except ImportError:
        return None
    if "timeout_at" not in inspect.signature(NetworkSelector.wait_read).parameters:
        return None

    class Bounded(NetworkSelector):
        """Waits no longer than it should for a peer that has not ended its handshake."""

        def wait_read(self, fileobj: Any, timeout_at: float | None = None) -> Any:
            return super().wait_read(fileobj, _latest(fileobj) if timeout_at is None else timeout_at)

        def wait_write(self, fileobj: Any, timeout_at: float | None = None) -> Any:
            return super().wait_write(fileobj, _latest(fileobj) if timeout_at is None else timeout_at)

    return lambda **options: KafkaNetClient(net=Bounded(**options), **options)


_SCHEME: Final = "backwatch-direct"


@cache
def direct_url() -> str:
    """Return the ``proxy_url`` for connections without a proxy whose look-ups hold up forks; empty in older clients.

    A class of its own for a scheme is the one way in which the client lets a caller replace its look-up.
    """
    try:
        from kafka.net.inet import KafkaNetSocket
    except ImportError:
        return ""
    if not hasattr(KafkaNetSocket, "dns_lookup"):
        return ""

    class DirectSocket(KafkaNetSocket):
        """The client's own socket but for its look-up."""

        SCHEMES = (_SCHEME,)

        def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> Any:
            with hold_forks_for_lookup():
                return super().dns_lookup(host, port, raise_error)

    return f"{DirectSocket.SCHEMES[0]}://"


def _latest(socket: Any) -> float | None:
    """No end for a connection that stands: it may be silent for hours. A plain socket has no TLS version at all."""
    version = getattr(socket, "version", None)
    return time.monotonic() + HANDSHAKE_S if version is not None and version() is None else None
