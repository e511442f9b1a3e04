"""The facts of a memcached session, from pymemcache's client object."""

from typing import Any

from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.runtime.record import Session


def session_of(client: Any) -> Session:
    """Return the session with everything that the client knows now. Takes a few microseconds."""
    server, context = client.server, getattr(client, "tls_context", None)
    facts: dict[str, Any]
    if isinstance(server, tuple):
        facts = {"address": words(server[0], 255), "port": server[1] if isinstance(server[1], int) else 0}
        facts["requested"] = requested_mode(context) if context else "disable"
        facts["requested_explicit"] = bool(context)
    else:
        facts = {"address": words(server, 200), "transport": "unix", "requested": "disable"}
        facts["requested_explicit"] = False
    socket = client.sock
    if socket is not None:
        facts.update(connection_facts(socket, tls_of(socket)))
    return Session(system="memcached", **facts)
