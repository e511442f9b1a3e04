"""The facts of Kafka sessions that follow from a client's configuration.

Understands the options of kafka-python and aiokafka, which have the same names. A client's resource is the first
address that the app configured; each connection's peer is the broker on its other end.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode

FACTS: Final = names.OVER_TLS | {
    names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
    names.STATEMENT, names.ACCOUNT, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
    names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ERROR_TYPE, names.STATUS_CODE, names.TOPOLOGY,
    names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS, names.PAYLOAD_GLOBALS, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
    names.MESSAGE_FORMS,
}  # fmt: skip
"""Facts that a Kafka client in Python can report."""
PORT: Final = 9092
_AUTH_METHODS: Final = {"PLAIN": "clear-password"}
"""SASL mechanisms for which the contract has its own word; the others keep their names."""
_ADDRESS: Final = re.compile(r"\[([^\]]*)\](?::(\d+))?|([^:]+):(\d+)|(.+)")


def first_address(servers: object) -> tuple[str, int]:
    """Return host and port of the first bootstrap server, as the app wrote it.

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


def requested_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options ask for, as keyword arguments of ``Session``."""
    address, port = first_address(config.get("bootstrap_servers"))
    protocol = str(config.get("security_protocol") or "PLAINTEXT").upper()
    facts: dict[str, Any] = {"address": address, "port": port}
    context = config.get("ssl_context")
    if protocol.endswith("SSL"):
        by_options = "verify-full" if config.get("ssl_check_hostname", True) else "verify-ca"
        facts["requested"] = requested_mode(context) if context is not None else by_options
        facts["requested_explicit"] = True
    else:
        # Plain is the drivers' default; whether the app wrote it out can no longer be seen.
        facts["requested"] = "disable"
    facts.update(_login_facts(config, protocol))
    return facts


def _login_facts(config: Mapping[str, Any], protocol: str) -> dict[str, str]:
    """Return account and method, never the secret."""
    if protocol.startswith("SASL"):
        mechanism = str(config.get("sasl_mechanism") or "").upper()
        has_account = mechanism == "PLAIN" or mechanism.startswith("SCRAM")
        return {
            "account": words(config.get("sasl_plain_username")) if has_account else "",
            "auth_method": _AUTH_METHODS.get(mechanism) or words(mechanism, 40).lower(),
        }
    if protocol == "PLAINTEXT" or not (config.get("ssl_certfile") or config.get("ssl_context")):
        return {"auth_method": "none"}
    return {}  # the broker may have requested the client's certificate


def format_tls_version(version: object) -> str:
    """Return a version as the driver negotiated it: numbers joined by dots."""
    if not isinstance(version, (tuple, list)):
        return ""
    return ".".join(str(part) for part in version[:4] if isinstance(part, int))
