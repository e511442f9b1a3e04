"""Facts of an open connection: TLS and the peer. Not in ``sockets.py``, which probes without TLS import, too."""

from typing import Any

from backwatch.collector.probes.toolkit.sockets import peer
from backwatch.collector.session.tls import read_tls_facts


def connection_facts(socket: Any, tls: Any, *, verified: str | None = None) -> dict[str, Any]:
    """Return TLS and the peer of an open connection.

    Args:
        tls, verified: See :func:`.read_tls_facts`.
    """
    return {**read_tls_facts(tls, verified=verified), **peer(socket)}
