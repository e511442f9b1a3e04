"""The facts of confluent-kafka's sessions.

librdkafka opens its connections on its own threads and exposes none of them. So the probe reports a session as
it was configured, and as established once a broker has responded: librdkafka never falls back to weaker settings. The
certificate, the peer and the version are unknown, and so are the brokers until the app asks for them.
"""

from collections.abc import Mapping
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes.families.kafka import session as family
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Facts


def get_option(config: Mapping[Any, Any], *spellings: str) -> Any:
    """Return the value of the first of these options that is set."""
    for name in spellings:
        if config.get(name) not in (None, ""):
            return config[name]
    return None


def is_off(value: object) -> bool:
    """Return whether an option is switched off; librdkafka accepts text as well.

    >>> is_off("false"), is_off(False), is_off(None), is_off("true")
    (True, True, False, False)
    """
    return value is False or (isinstance(value, str) and value.strip().lower() in ("false", "f", "0"))


def is_on(value: object) -> bool:
    """Return whether an option is switched on."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "t", "1"))


def requested_facts(config: Mapping[Any, Any], *, checks_names: bool) -> dict[str, Any]:
    """Return what the options ask for, as keyword arguments of ``Session``.

    Args:
        checks_names: Whether this librdkafka compares host names by default (from 2.0 on).
    """
    algorithm = get_option(config, "ssl.endpoint.identification.algorithm")
    protocol = get_option(config, "security.protocol")
    facts = family.requested_facts({
        "bootstrap_servers": get_option(config, "bootstrap.servers", "metadata.broker.list"),
        "security_protocol": protocol,
        "ssl_check_hostname": checks_names if algorithm is None else str(algorithm).lower() == "https",
        "ssl_certfile": get_option(config, "ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"),
        "sasl_mechanism": get_option(config, "sasl.mechanisms", "sasl.mechanism") or "GSSAPI",
        "sasl_plain_username": get_option(config, "sasl.username"),
    })  # fmt: skip
    if facts["requested"] != "disable" and is_off(config.get("enable.ssl.certificate.verification")):
        facts["requested"] = "require"
    facts["requested_explicit"] = protocol is not None
    return facts


def status_facts(error: Any) -> Facts:
    """Return librdkafka's error number; a negative one is an error of the client itself."""
    inner = error.args[0] if isinstance(error, BaseException) and error.args else error
    code = getattr(inner, "code", None)
    number = code() if callable(code) else None
    return ((names.STATUS_CODE, str(number)),) if type(number) is int else ()


def error_name(error: Any) -> str:
    """Return librdkafka's name of an error that is not an exception."""
    return words(error.name(), 60)
