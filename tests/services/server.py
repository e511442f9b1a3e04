"""What every server of the tests tells about itself, and how a missing one is told."""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

HOST = "127.0.0.1"
PREFIX = "needs a real server: "
"""Begins the reason of every skip for want of a server, so that the run's last line can count them."""


class MissingServerError(Exception):
    """A server that cannot be had here; the message says why and what to do."""


class Fixture(NamedTuple):
    """How a file of this folder offers its server to every test: assigned to ``FIXTURE``, beside ``serve``.

    Attributes:
        name: The fixture's name.
        kind: ``BACKWATCH_TEST_<KIND>_URL`` may name another server instead.
        port: The port that is usual for it.
    """

    name: str
    kind: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A real server on loopback, started by this run or named by ``BACKWATCH_TEST_<KIND>_URL``.

    Attributes:
        port: Plain TCP.
        tls_port: TLS; the same as ``port`` where the protocol upgrades in place, 0 where there is none.
        user: An account with every right; its secret is ``password``.
        ca_file: PEM of the authority that signed the server's certificate for localhost, 127.0.0.1 and ::1.
        url: Plain, with user and password, as an app's settings would say it.
        tls_url: The same over TLS; empty where there is none.
        socket: Path of the unix socket (PostgreSQL: its folder), empty where there is none.
        sasl_port: Kafka only: SASL (SCRAM-SHA-256, PLAIN) over TLS.

    """

    kind: str
    host: str = HOST
    port: int
    tls_port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    url: str = field(repr=False)
    tls_url: str = field(default="", repr=False)
    socket: str = ""
    sasl_port: int = 0

    @property
    def bootstrap(self) -> str:
        """``host:port``, as Kafka's clients want it."""
        return f"{self.host}:{self.port}"


def from_environment(kind: str, default_port: int) -> Server | None:
    """The server that ``BACKWATCH_TEST_<KIND>_URL`` names: what our fixtures tell stands in its query.

    ``postgresql://user:password@host:5432/?tls_port=5432&ca_file=…&tls_url=…&socket=…``
    """
    url = os.environ.get(f"BACKWATCH_TEST_{kind.upper()}_URL")
    if not url:
        return None
    parts = urlsplit(url)
    told = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Server(
        kind=kind,
        host=parts.hostname or HOST,
        port=int(told.get("port", parts.port or default_port)),
        tls_port=int(told.get("tls_port", 0)),
        sasl_port=int(told.get("sasl_port", 0)),
        user=told.get("user", unquote(parts.username or "")),
        password=told.get("password", unquote(parts.password or "")),
        ca_file=told.get("ca_file", ""),
        url=told.get("url", parts._replace(query="").geturl()),
        tls_url=told.get("tls_url", ""),
        socket=told.get("socket", ""),
    )


def to_environment(server: Server) -> dict[str, str]:
    """The variable by which another process of tests uses this very server; all facts stand in the query."""
    facts = ("port", "tls_port", "sasl_port", "user", "password", "ca_file", "url", "tls_url", "socket")
    told = {name: getattr(server, name) for name in facts if getattr(server, name)}
    return {f"BACKWATCH_TEST_{server.kind.upper()}_URL": f"server://{server.host}?{urlencode(told)}"}


def accepts(port: int, host: str = HOST) -> Callable[[], bool]:
    """A check whether something listens on ``port``."""

    def listening() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
        return False

    return listening
