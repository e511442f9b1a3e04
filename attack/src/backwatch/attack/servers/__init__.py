"""Hostile services, one file each, on loopback only. A new one is one new file here and nothing else: this folder is walked.

Each speaks enough of its protocol for a real driver: honest first, over verified TLS, and hostile once it is told to turn.
They are for trying Backwatch and testing oneself, and are never installed in production.
"""

import importlib
import pkgutil
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from backwatch.attack.authority import Authority, Certificate

LOOPBACK = "127.0.0.1"
LARGEST = 1 << 24
"""Bytes that a peer may announce in one message."""


class HostileServer(ABC):
    """One service that is honest until it is told to turn.

    Attributes:
        name: File name, and what the cast calls it.
        attack: What it does once it has turned, in one sentence.
        reference: Where this attack is described.
        driver: The client library it is shown on.
        rule: What Backwatch must say.
    """

    name: ClassVar[str]
    attack: ClassVar[str]
    reference: ClassVar[str]
    driver: ClassVar[str]
    rule: ClassVar[str]

    def __init__(self, authority: Authority, port: int = 0) -> None:
        self.authority = authority
        self.certificate: Certificate = authority.issue(f"{self.name} service")
        self.hostile = False
        self._listener = socket.create_server((LOOPBACK, port))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[Session] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, name=f"attack-{self.name}", daemon=True)

    def start(self) -> None:
        """Listens from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Listens no longer, and drops whoever is connected."""
        self._stopped = True
        self._listener.close()
        self.drop()

    def turn(self) -> None:
        """Turns hostile; sessions are dropped, so that clients come back to a hostile service."""
        self.hostile = True
        self.drop()

    def repent(self) -> None:
        """Is honest again."""
        self.hostile = False
        self.drop()

    def drop(self) -> None:
        """Drops every session."""
        with self._lock:
            sessions, self._open = self._open, set()
        for one in sessions:
            one.drop()

    @abstractmethod
    def serve(self, session: "Session") -> None:
        """One session, from its first byte to its end."""

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(connection, self.certificate)
        with self._lock:
            self._open.add(session)
        try:
            self.serve(session)
        except (OSError, EOFError, ValueError):
            pass  # the client left, or spoke what no driver speaks
        finally:
            with self._lock:
                self._open.discard(session)
            session.close()


class Session:
    """One accepted connection, plaintext until :meth:`secure`."""

    def __init__(self, connection: socket.socket, certificate: Certificate) -> None:
        self._socket = connection
        self._certificate = certificate

    def secure(self) -> None:
        """The server's side of a TLS handshake, here and now."""
        self._socket = self._certificate.server_context().wrap_socket(self._socket, server_side=True)

    @property
    def secured(self) -> bool:
        """Whether TLS was agreed on."""
        return isinstance(self._socket, ssl.SSLSocket)

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes.

        Raises:
            EOFError: The client left before.
        """
        if not 0 <= count <= LARGEST:
            raise ValueError("a message of that size is no driver's")
        parts: list[bytes] = []
        while count:
            part = self._socket.recv(min(count, 1 << 16))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def line(self) -> bytes:
        """The next line without its end, 64 KiB at most."""
        found = bytearray()
        while not found.endswith(b"\n"):
            found += self.read(1)
            if len(found) > 1 << 16:
                raise ValueError("a line of that length is no driver's")
        return bytes(found).rstrip(b"\r\n")

    def send(self, data: bytes) -> None:
        """All of it."""
        self._socket.sendall(data)

    def drop(self) -> None:
        """Ends the conversation from another thread; whoever serves it finds that out by itself."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was gone already

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()


def discover() -> Iterator[type[HostileServer]]:
    """Every hostile service of this folder, in the order of their file names."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, HostileServer) and value.__module__ == module.__name__:
                yield value
