"""Drivers that scenarios run on, one file each. A file defines how to connect and to query, and the options.

A driver is imported inside methods only: ``backwatch attack list`` works without any of them.
"""

import ssl
from abc import ABC
from typing import Any, ClassVar

TIMEOUT_S = 5


class Client(ABC):
    """The app's use of one driver: over verified TLS, unless a scenario asks for something else.

    Attributes:
        driver: Module of the client library.
        protocol: Begin of the names of its scenarios; empty: the name of their folder.
        port: Port of the server on loopback.
        ca_file: Certificate authority to trust.
    """

    driver: ClassVar[str]
    protocol: ClassVar[str] = ""

    def __init__(self, port: int, ca_file: str) -> None:
        self.port = port
        self.ca_file = ca_file

    def tls_context(self) -> ssl.SSLContext:
        """Return a context that checks chain and name."""
        return ssl.create_default_context(cafile=self.ca_file)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without those that are ``None``: the driver uses its default for them."""
    return {name: value for name, value in options.items() if value is not None}
