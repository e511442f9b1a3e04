"""Kinds of service, and the attribute that names each of them in a span."""

from collections.abc import Mapping
from typing import Final

from backwatch.collector import names

_ATTRIBUTES: Final[dict[str, str]] = {
    **dict.fromkeys(("http", "smtp", "imap", "pop3", "ldap", "ftp", "s3", "file"), names.SYSTEM),
    **dict.fromkeys(
        ("kafka", "rabbitmq", "pulsar", "activemq", "aws_sqs", "jms", "nats", "mqtt", "celery"), names.MESSAGING_SYSTEM
    ),
    **dict.fromkeys(("grpc", "aws-api"), names.RPC_SYSTEM),
}


def declare_systems(attributes: Mapping[str, str]) -> None:
    """Add kinds of service that a probe reports, each with the attribute that names it."""
    _ATTRIBUTES.update(attributes)


def system_attribute(system: str) -> str:
    """Return the attribute that names this kind of service; a database's, where nothing else is declared."""
    return _ATTRIBUTES.get(system, names.DB_SYSTEM)


def is_database(system: str) -> bool:
    """Return whether ``db.system.name`` names this kind of service."""
    return system_attribute(system) == names.DB_SYSTEM
