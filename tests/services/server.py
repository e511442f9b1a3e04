"""Addresses and accounts of a test server, and the error for a server that is not installed."""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

HOST = "127.0.0.1"
PREFIX = "needs a real server: "
"""Prefix of the reason of every skip because a server is missing: the run's last line counts them."""


class MissingServerError(Exception):
    """A server that is not installed here; the message gives the reason and the remedy."""


class Fixture(NamedTuple):
    """The description of a server's fixture: a file of this folder assigns it to ``FIXTURE``, beside ``serve``.

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
        url: Plain, with user and password, as in an app's settings.
        tls_url: The same over TLS; empty where there is none.
        socket: Path of the unix socket (PostgreSQL: its folder), empty where there is none.
        sasl_port: Kafka only: SASL (SCRAM-SHA-256, PLAIN) over TLS.
        management_port: RabbitMQ only: its management API over HTTP.

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
    management_port: int = 0

    @property
    def bootstrap(self) -> str:
        """``host:port``, as Kafka's clients want it."""
        return f"{self.host}:{self.port}"


def from_environment(kind: str, default_port: int) -> Server | None:
    """The server that ``BACKWATCH_TEST_<KIND>_URL`` names: its query holds what a fixture would report.

    ``postgresql://user:password@host:5432/?tls_port=5432&ca_file=…&tls_url=…&socket=…``
    """
    url = os.environ.get(f"BACKWATCH_TEST_{kind.upper()}_URL")
    if not url:
        return None
    parts = urlsplit(url)
    facts = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Server(
        kind=kind,
        host=parts.hostname or HOST,
        port=int(facts.get("port", parts.port or default_port)),
        tls_port=int(facts.get("tls_port", 0)),
        sasl_port=int(facts.get("sasl_port", 0)),
        management_port=int(facts.get("management_port", 0)),
        user=facts.get("user", unquote(parts.username or "")),
        password=facts.get("password", unquote(parts.password or "")),
        ca_file=facts.get("ca_file", ""),
        url=facts.get("url", parts._replace(query="").geturl()),
        tls_url=facts.get("tls_url", ""),
        socket=facts.get("socket", ""),
    )


def to_environment(server: Server) -> dict[str, str]:
    """Return the variable that makes another process of tests use this server; the query holds all facts."""
    facts = (
        "port",
        "tls_port",
        "sasl_port",
        "management_port",
        "user",
        "password",
        "ca_file",
        "url",
        "tls_url",
        "socket",
    )
    found = {name: getattr(server, name) for name in facts if getattr(server, name)}
    return {f"BACKWATCH_TEST_{server.kind.upper()}_URL": f"server://{server.host}?{urlencode(found)}"}


def accepts(port: int, host: str = HOST) -> Callable[[], bool]:
    """Return a check that succeeds once something listens on ``port``."""

    def listening() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
        return False

    return listening
