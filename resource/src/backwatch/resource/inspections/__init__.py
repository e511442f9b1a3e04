"""What each protocol shows before a login: one file per protocol. A new one is one new file.

Each exchange is a few bytes on a connection of its own, with a time limit and a bound on what is read. No password is
sent; a login is a matter of the client library, over verified TLS.
"""

import importlib
import pkgutil
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final, Self

from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl

TIMEOUT_S: Final = 5.0
EXCHANGE_S: Final = 15.0
"""For all reads of one connection: a hostile service may send a byte at a time."""
MAX_READ_BYTES: Final = 64 * 1024
PROBE_NAME: Final = "backwatch-check"
"""How an inspection names itself where a protocol wants a name."""


class Link:
    """A connection on which a protocol is spoken by hand.

    Args:
        host, port: The service.
        timeout_s: For each read and write.
    """

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self.socket = socket.create_connection((host, port), timeout_s)
        self._left = MAX_READ_BYTES
        self._deadline = time.monotonic() + EXCHANGE_S

    def __enter__(self) -> Self:
        """Use it in a ``with`` statement, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read(self, count: int) -> bytes:
        """Read exactly this many bytes.

        Raises:
            OSError: The service closed, sent too much, or takes too long.
        """
        if count > self._left:
            raise ConnectionError("the service sent too much")
        self._left -= count
        data = bytearray()
        while len(data) < count:
            if time.monotonic() > self._deadline:
                raise TimeoutError("the service takes too long")
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the service closed the connection")
            data += part
        return bytes(data)

    def read_line(self) -> bytes:
        """Read up to a line feed, at most 4 KiB."""
        line = bytearray()
        while not line.endswith(b"\n") and len(line) < 4096:
            line += self.read(1)
        return bytes(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a login showed.

    Attributes:
        name: Of the account.
        version: Of the server; empty if unknown.
        powers: Administrative powers, in the service's own words.
        password_free: Whether the account needs no password.
    """

    name: str = ""
    version: str = ""
    powers: Sequence[str] = ()
    password_free: bool = False


class Inspection(ABC):
    """One protocol.

    Attributes:
        schemes: Of URLs.
        tls_schemes: Those of ``schemes`` whose port speaks TLS from the first byte.
        plaintext_port: Where the protocol is spoken without TLS if the URL's port speaks TLS; 0: nowhere else.
        default_logins: Well-known pairs of user and password.
        is_public: Whether such services stand on the public net as a rule.
    """

    schemes: ClassVar[Sequence[str]]
    tls_schemes: ClassVar[Sequence[str]] = ()
    plaintext_port: ClassVar[int] = 0
    default_logins: ClassVar[Sequence[tuple[str, str]]] = ()
    is_public: ClassVar[bool] = False

    def start_tls(self, link: Link) -> bool:
        """Ask for TLS; return whether the service agrees. The handshake comes after."""
        del link
        return True

    @abstractmethod
    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return what the service answers without TLS; empty: it insists on TLS."""

    def needs_no_login(self, link: Link, url: ServiceUrl) -> str:
        """Return what the service does for a client that never logged in; empty: nothing, or unknown."""
        del link, url
        return ""

    def read_account(self, resource: Resource) -> Account:
        """Log in and return what the account and the server are.

        Raises:
            Exception: What the client library raises.
        """
        del resource
        return Account()


def query(resource: Resource, *statements: str) -> list[list[Sequence[Any]]]:
    """Return the rows of statements on a new connection of a DB-API library; of asyncpg in a loop of its own."""
    if "connect" not in resource.kinds:
        return _query_asyncpg(resource, statements)
    connection = resource.connect()
    try:
        cursor, found = connection.cursor(), list[list[Sequence[Any]]]()
        for statement in statements:
            cursor.execute(statement)
            found.append(list(cursor.fetchmany(200)))
        return found
    finally:
        connection.close()


def _query_asyncpg(resource: Resource, statements: Sequence[str]) -> list[list[Sequence[Any]]]:
    import asyncio

    async def ask() -> list[list[Sequence[Any]]]:
        connection = await resource.aconnect()
        try:
            return [[tuple(row) for row in await connection.fetch(statement)] for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(ask())


@cache
def discover() -> Mapping[str, Inspection]:
    """Return the inspections by scheme."""
    found: dict[str, Inspection] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Inspection) and value.__dict__.get("schemes"):
                found |= dict.fromkeys(value.schemes, value())
    return found
