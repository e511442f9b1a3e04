"""The facts of Kafka sessions: what a client was configured to ask for, and what one connection to a broker became.

Understands the options of kafka-python and aiokafka, which are the same words. A client's resource is the first address
that the app gave it; each connection's peer is the broker that it really speaks to.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from backwatch.collector.probes.toolkit.sockets import descriptor, peer, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import asked_by
from backwatch.collector.runtime.internal_clients import is_internal
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts

PORT: Final = 9092
METHODS: Final = {"PLAIN": "clear-password"}
"""SASL mechanisms that the contract has a word of its own for; the others are told as they are called."""
_ADDRESS: Final = re.compile(r"\[([^\]]*)\](?::(\d+))?|([^:]+):(\d+)|(.+)")


class Hub:
    """What is known of one client of the app's: all its connections lead to the same resource.

    Attributes:
        own: It is the stream's own client: nothing of it is told.
        asserted: The app said which version the brokers have, so the driver did not find it out.
        latest: The session of the connection that was made last; before that what was configured.
        nodes: The brokers that were told last.
    """

    __slots__ = ("asserted", "latest", "nodes", "own", "server_id")

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.own = is_internal(config.get("client_id"))
        self.asserted = config.get("api_version") not in (None, "auto")
        self.latest = Session(system="kafka", **configured(config))
        self.nodes: frozenset[tuple[Any, Any]] = frozenset()
        self.server_id = ""

    def identified(self, cluster_id: object) -> None:
        """The cluster's own identifier has come; sessions that are told from now on carry it."""
        self.server_id = words(cluster_id, 64)
        self.latest = self.named(self.latest)

    def named(self, session: Session) -> Session:
        """The session with the cluster's identifier, the very object where it has it already."""
        if session.server_id == self.server_id or not self.server_id:
            return session
        return replace(session, server_id=self.server_id, encoded=[])


class Link:
    """What is known of one connection to a broker."""

    __slots__ = ("hub", "session", "start_ns")

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.session: Session | None = None
        self.start_ns = 0
        """Since when it is being made; 0: it is not."""


def first_address(servers: object) -> tuple[str, int]:
    """Host and port of the first bootstrap server, as the app wrote it.

    >>> first_address(["a:9093", "b:9093"]), first_address("kafka"), first_address("[::1]:19092,b")
    (('a', 9093), ('kafka', 9092), ('::1', 19092))
    """
    if isinstance(servers, (list, tuple, set, frozenset)):
        servers = next(iter(servers), "")
    text = words(servers, 2000).partition(",")[0].strip() if isinstance(servers, (str, bytes)) else ""
    found = _ADDRESS.fullmatch(text.partition("://")[2] or text)
    if found is None:
        return "", 0
    host, port = found[1] or found[3] or found[5], found[2] or found[4] or str(PORT)
    return host[:255], int(port[:5])


def configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the options ask for, as keyword arguments of ``Session``."""
    address, port = first_address(config.get("bootstrap_servers"))
    protocol = str(config.get("security_protocol") or "PLAINTEXT").upper()
    facts: dict[str, Any] = {"address": address, "port": port}
    context = config.get("ssl_context")
    if protocol.endswith("SSL"):
        facts["requested"] = asked_by(context) if context is not None else _by_options(config)
        facts["requested_explicit"] = True
    else:
        # Plain is the drivers' default; whether the app wrote it out cannot be seen any more.
        facts["requested"] = "disable"
    facts.update(login(config, protocol))
    return facts


def _by_options(config: Mapping[str, Any]) -> str:
    return "verify-full" if config.get("ssl_check_hostname", True) else "verify-ca"


def login(config: Mapping[str, Any], protocol: str) -> dict[str, str]:
    """Account and method, as keyword arguments of ``Session``; never the secret."""
    if protocol.startswith("SASL"):
        mechanism = str(config.get("sasl_mechanism") or "").upper()
        named = mechanism == "PLAIN" or mechanism.startswith("SCRAM")
        return {
            "account": words(config.get("sasl_plain_username")) if named else "",
            "auth_method": METHODS.get(mechanism) or words(mechanism, 40).lower(),
        }
    if protocol == "PLAINTEXT" or not (config.get("ssl_certfile") or config.get("ssl_context")):
        return {"auth_method": "none"}
    return {}  # a certificate of the client's own may have been asked for


def version_text(version: object) -> str:
    """A version as the driver found it out: numbers joined by dots."""
    if not isinstance(version, (tuple, list)):
        return ""
    return ".".join(str(part) for part in version[:4] if isinstance(part, int))


def learnt(hub: Hub, socket: Any, tls: Any, version: object = None) -> Session:
    """The session of a connection that stands: some ten microseconds, once per connection.

    Args:
        tls: The TLS object; ``None`` where TLS was not asked for.
        version: Of the brokers, as the driver negotiated it.
    """
    facts: dict[str, Any] = dict(peer(socket))
    if hub.latest.requested == "disable":
        if facts:  # else nobody is there to speak to, encrypted or not
            facts["encrypted"] = False
    elif tls is not None:
        told = read_tls_facts(tls)
        if told.get("encrypted"):  # else the handshake is not over, and nothing is known yet
            facts.update(told)
    if version is not None and not hub.asserted:
        facts["server_version"] = version_text(version)
    blank = replace(
        hub.latest, encrypted=None, tls_version="", cipher="", verified="", certificate_sha256="", not_before="",
        not_after="", issuer="", subject="", peer_address="", peer_port=0, encoded=[],
    )  # fmt: skip
    return replace(blank, server_id=hub.server_id, **facts)


def of_socket(hub: Hub, socket: Any, version: object = None) -> tuple[Session, int]:
    """The session of a connection whose driver holds a plain or a TLS socket, and the descriptor to count its bytes."""
    return learnt(hub, socket, tls_of(socket), version), descriptor(socket)
