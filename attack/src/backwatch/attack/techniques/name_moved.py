"""A9, A13: the service's name resolves to another address, where the attacker listens."""

import ssl
from abc import abstractmethod

from backwatch.attack.authority import Authority, Certificate
from backwatch.attack.clients.aiohttp import Aiohttp
from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import AppConfig, Run, Scenario

OTHER = "127.0.0.2"
"""A loopback address that differs from the service's."""


class OtherAddress(Web):
    """The attacker's server, which listens at the other address on the same port."""

    address = OTHER

    def answer(self, request: Request) -> bytes:
        """Return other rates."""
        del request
        return format_response(b'{"base": "EUR", "rates": {"USD": 108.0}}')


class MovedName(Web):
    """The honest server, and beside it the attacker's.

    Attributes:
        elsewhere: The attacker's server.
    """

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = self.attach(OtherAddress(authority, self.port))


class NameMoved(Scenario):
    """An app on aiohttp with its own resolver, as aiohttp's documentation shows."""

    server = MovedName
    shows = "108.0"
    runs = (Run(Aiohttp),)

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.client.address = LOOPBACK

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Give the attacker's server its certificate; clients lose their sessions."""
        assert isinstance(service, MovedName)
        service.elsewhere.certificate = cls.certificate(service)
        service.drop()

    @classmethod
    @abstractmethod
    def certificate(cls, service: HostileServer) -> Certificate:
        """Return the certificate of the attacker's server."""

    def context(self) -> ssl.SSLContext:
        """Return the app's TLS context, which checks chain and name."""
        return self.client.tls_context()

    def work(self) -> object:
        """Fetch the rates, on a new connection each time."""
        return self.client.visit(context=self.context())

    def meet(self) -> object:
        """Fetch the rates while the name resolves to the other address."""
        self.client.address = OTHER
        return self.work()
