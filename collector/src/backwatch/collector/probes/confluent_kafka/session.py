"""The facts of confluent-kafka's clients.

librdkafka makes its connections on threads of its own and shows none of them. What is known of a session is what was
configured; that it came about so is known once a broker has answered, for librdkafka falls back to nothing less. The
certificate, the peer and the version are unknown, and the brokers until the app itself asks for them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes.families.kafka.session import configured
from backwatch.collector.probes.toolkit.messages import NEVER, Gathered
from backwatch.collector.probes.toolkit.nodes import address, announced
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.internal_clients import is_internal
from backwatch.collector.runtime.record import Session

VERIFIED: Final = {"verify-full": "full", "verify-ca": "chain", "require": "none"}


def option(config: Mapping[Any, Any], *spellings: str) -> Any:
    """The first of these options that was given."""
    for name in spellings:
        if config.get(name) not in (None, ""):
            return config[name]
    return None


def said_no(value: object) -> bool:
    """Whether an option is switched off; librdkafka takes text as well.

    >>> said_no("false"), said_no(False), said_no(None), said_no("true")
    (True, True, False, False)
    """
    return value is False or (isinstance(value, str) and value.strip().lower() in ("false", "f", "0"))


def asked_for(config: Mapping[Any, Any], *, names_by_default: bool) -> dict[str, Any]:
    """What the options ask for, as keyword arguments of ``Session``.

    Args:
        names_by_default: Whether this librdkafka compares names where it is not told to (from 2.0 on).
    """
    algorithm = option(config, "ssl.endpoint.identification.algorithm")
    by_name = names_by_default if algorithm is None else str(algorithm).lower() == "https"
    protocol = option(config, "security.protocol")
    certificate = option(config, "ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location")
    facts = configured({
        "bootstrap_servers": option(config, "bootstrap.servers", "metadata.broker.list"),
        "security_protocol": protocol,
        "ssl_check_hostname": by_name,
        "ssl_certfile": certificate,
        "sasl_mechanism": option(config, "sasl.mechanisms", "sasl.mechanism") or "GSSAPI",
        "sasl_plain_username": option(config, "sasl.username"),
    })  # fmt: skip
    if facts["requested"] != "disable" and said_no(config.get("enable.ssl.certificate.verification")):
        facts["requested"] = "require"
    facts["requested_explicit"] = protocol is not None
    return facts


def code_of(error: Any) -> Facts:
    """Librdkafka's number for an error; below zero where it is its own."""
    inner = error.args[0] if isinstance(error, BaseException) and error.args else error
    code = getattr(inner, "code", None)
    number = code() if callable(code) else None
    return ((names.STATUS_CODE, str(number)),) if type(number) is int else ()


def name_of(error: Any) -> str:
    """Librdkafka's word for an error that is no exception."""
    return words(error.name(), 60)


def said_yes(value: object) -> bool:
    """Whether an option is switched on."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "t", "1"))


class Client:
    """What is known of one producer, consumer or administrator."""

    __slots__ = ("__weakref__", "default_delivery", "due", "nodes", "only_errors", "own", "session", "taken")

    def __init__(self, config: Mapping[Any, Any], *, names_by_default: bool) -> None:
        self.own = is_internal(config.get("client.id"))
        self.session = Session(system="kafka", **asked_for(config, names_by_default=names_by_default))
        self.only_errors = said_yes(config.get("delivery.report.only.error"))
        self.default_delivery: Any = config.get("on_delivery") or config.get("dr_cb")
        self.nodes: frozenset[tuple[Any, Any]] = frozenset()
        self.taken: dict[str, Gathered] = {}
        self.due = NEVER
        """When the first of them that waits is to be told, by ``monotonic``."""

    def answered(self) -> Session:
        """A broker has answered: the session came about as it was configured."""
        session = self.session
        if session.encrypted is None:
            encrypted = session.requested != "disable"
            verified = VERIFIED.get(session.requested, "")
            session = self.session = replace(session, encrypted=encrypted, verified=verified, encoded=[])
        return session

    def identified(self, cluster_id: object) -> None:
        """The cluster's own identifier has come."""
        server_id = words(cluster_id, 64)
        if server_id and server_id != self.session.server_id:
            self.session = replace(self.session, server_id=server_id, encoded=[])

    def learnt(self, result: Any) -> Facts:
        """Brokers, where an answer that the app asked for names others than before."""
        brokers = getattr(result, "brokers", None)
        if not isinstance(brokers, dict):
            return ()
        self.identified(getattr(result, "cluster_id", None))
        nodes = frozenset((one.host, one.port) for one in brokers.values())
        if not nodes or nodes == self.nodes:
            return ()
        self.nodes = nodes
        return announced(address(*one) for one in nodes)
