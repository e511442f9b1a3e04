"""A9, A13: the service's name is answered with another address, where somebody else listens."""

import socket
from abc import abstractmethod
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import AppConfig, Scenario

OTHER = "127.0.0.2"
"""Loopback's, and another address than the service's."""
RATES = b'{"base": "EUR", "rates": {"USD": 108.0}}'
"""What is told at the other address."""


class Elsewhere(Web):
    """Listens there on the same port; requests that arrive are in its ``kept``."""

    address = OTHER

    def answer(self, request: Request) -> bytes:
        """Other rates."""
        self.kept.append(request.headers.get(b"authorization", b""))
        return answered(RATES)


class Moving(Web):
    """The honest one, and beside it whoever takes its name over.

    Attributes:
        elsewhere: The other one; there is none until the name has moved.
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
    """An app on aiohttp, whose resolver asks whoever answers for the name, as that one's users write it."""

    driver = "aiohttp"

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.answered_with = LOOPBACK

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest itself."""
        return Moving(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else listens at the other address."""
        assert isinstance(service, Moving)
        service.elsewhere = Elsewhere(service.authority, service.port)
        cls.takes_over(service, service.elsewhere)
        service.elsewhere.start()
        service.drop()

    @classmethod
    @abstractmethod
    def takes_over(cls, service: HostileServer, elsewhere: HostileServer) -> None:
        """Gives the other one its certificate."""

    @abstractmethod
    def context(self) -> Any:
        """The app's TLS."""

    def work(self) -> None:
        """Fetches the rates, each time on a connection of its own."""
        self._fetch()

    def meet(self) -> object:
        """The same, while the name is answered with the other address."""
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

            async def close(self) -> None:  # it holds nothing
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
