"""A9, A13: the service's name resolves to another address, where the attacker listens."""

import socket
from abc import abstractmethod
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import AppConfig, Scenario

OTHER = "127.0.0.2"
"""A loopback address that differs from the service's."""
RATES = b'{"base": "EUR", "rates": {"USD": 108.0}}'
"""Response of the server at the other address."""


class Elsewhere(Web):
    """Listens at the other address on the same port; ``kept`` records the requests."""

    address = OTHER

    def answer(self, request: Request) -> bytes:
        """Return other rates."""
        self.kept.append(request.headers.get(b"authorization", b""))
        return answered(RATES)


class Moving(Web):
    """The honest server, and beside it the attacker's.

    Attributes:
        elsewhere: The attacker's server; ``None`` until the name has moved.
    """

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere: Elsewhere | None = None

    def stop(self) -> None:
        """Stop both servers."""
        super().stop()
        if self.elsewhere is not None:
            self.elsewhere.stop()


class NameMoved(Scenario):
    """An app on aiohttp with its own resolver, as aiohttp's documentation shows."""

    driver = "aiohttp"

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.answered_with = LOOPBACK

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the honest server."""
        return Moving(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Start the attacker's server at the other address."""
        assert isinstance(service, Moving)
        service.elsewhere = Elsewhere(service.authority, service.port)
        cls.takes_over(service, service.elsewhere)
        service.elsewhere.start()
        service.drop()

    @classmethod
    @abstractmethod
    def takes_over(cls, service: HostileServer, elsewhere: HostileServer) -> None:
        """Give the attacker's server its certificate."""

    @abstractmethod
    def context(self) -> Any:
        """Return the app's TLS context."""

    def work(self) -> None:
        """Fetch the rates, on a new connection each time."""
        self._fetch()

    def meet(self) -> object:
        """Fetch the rates while the name resolves to the other address."""
        self.answered_with = OTHER
        return self._fetch()

    def _fetch(self) -> object:
        import asyncio

        return asyncio.run(self._fetched())

    async def _fetched(self) -> object:
        import aiohttp
        from aiohttp.abc import AbstractResolver, ResolveResult

        app = self

        class NameServer(AbstractResolver):
            async def resolve(
                self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
            ) -> list[ResolveResult]:
                del family
                return [
                    ResolveResult(
                        hostname=host, host=app.answered_with, port=port, family=socket.AF_INET, proto=0,
                        flags=socket.AI_NUMERICHOST,
                    )
                ]  # fmt: skip

            async def close(self) -> None:  # there is nothing to release
                pass

        connector = aiohttp.TCPConnector(resolver=NameServer(), ssl=self.context())
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(5)) as client,
            client.get(f"https://localhost:{self.config.port}/rates") as answer,
        ):
            return await answer.json()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app accepted the other server's rates."""
        assert isinstance(service, Moving)
        return service.elsewhere is not None and bool(service.elsewhere.kept) and "108.0" in f"{got}"
