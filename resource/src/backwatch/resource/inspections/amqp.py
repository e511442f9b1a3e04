"""RabbitMQ: the protocol header, to which the server answers with its properties."""

from typing import Any, ClassVar, Final

from backwatch.resource.inspections import Account, Inspection, Link
from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl

HEADER: Final = b"AMQP\0\0\x09\x01"
START: Final = b"\0\x0a\0\x0a"
"""Class and method of Connection.Start."""


class AmqpInspection(Inspection):
    """TLS has a port of its own."""

    schemes: ClassVar = ("amqp", "amqps")
    tls_schemes: ClassVar = ("amqps",)
    plaintext_port: ClassVar = 5672
    default_logins: ClassVar = (("guest", "guest"), ("admin", "admin"))

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return which logins the server offers without TLS."""
        del url
        link.send(HEADER)
        frame = link.read(7)
        if frame[0] != 1 or link.read(4) != START:
            return ""
        return "the server takes logins without TLS"

    def read_account(self, resource: Resource) -> Account:
        """Read the server's properties; RabbitMQ shows an account's tags only to its management interface."""
        connection: Any = resource.connect()
        try:
            properties: Any = getattr(getattr(connection, "_impl", connection), "server_properties", None) or {}
        finally:
            connection.close()
        return Account(version=str(properties.get("version", "")))
