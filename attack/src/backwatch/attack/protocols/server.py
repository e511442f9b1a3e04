"""A server on loopback that is honest until it turns hostile, and its sessions.

Each server speaks enough of its protocol for a real driver. The servers are for trying Backwatch and for testing, and
are never installed in production.
"""

import contextlib
import socket
import ssl
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from backwatch.attack.authority import Authority, Certificate

LOOPBACK = "127.0.0.1"
SECRET = "only-on-loopback"
LARGEST = 1 << 24
"""Bytes that a peer may announce in one message."""
MOST_KEPT = 1_024
"""Values, statements or parts that a session may make a server keep."""
MOST_SESSIONS = 256
PATIENCE_S = 60
"""How long a session may be silent."""
Receiver = Callable[[bytes], object]
"""Receives what a client gave away."""
_UNSPEAKABLE = (OSError, EOFError, ValueError, IndexError, struct.error)
"""The client left, or spoke what no driver speaks."""


def _unseen(_given: bytes) -> None:
    pass


class HostileServer(ABC):
    """One service that is honest until it is told to turn.

    Attributes:
        name: File name, and what the cast calls it.
        attack: What it does once it has turned, in one sentence.
        reference: Where this attack is described.
        driver: The client library it is shown on.
        rule: What Backwatch must say.
        address: Where it listens: loopback's, or another of loopback's block for who is found at another address.
        taken: Is handed what a careless client gave away; dropped unseen unless somebody looks.
        kept: Where who looks may have it put: ``service.taken = service.kept.append``.
    """

    name: ClassVar[str]
    attack: ClassVar[str]
    reference: ClassVar[str]
    driver: ClassVar[str]
    rule: ClassVar[str]
    address: ClassVar[str] = LOOPBACK

    def __init__(self, authority: Authority, port: int = 0) -> None:
        self.authority = authority
        self.certificate: Certificate = authority.issue(f"{self.name} service")
        self.hostile = False
        self.taken: Receiver = _unseen
        self.kept: list[bytes] = []
        self._open: set[Session] = set()
        self._lock = threading.Lock()
        self._listen(port)
        self.port: int = self._listener.getsockname()[1]

    def _listen(self, port: int) -> None:
        self._hear(socket.create_server((self.address, port)))

    def _hear(self, listener: socket.socket) -> None:
        self._listener = listener
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, name=f"attack-{self.name}", daemon=True)

    def start(self) -> None:
        """Listens from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Listens no longer, and drops whoever is connected; the port is free then."""
        with self._lock:
            self._stopped = True
        with contextlib.suppress(OSError):  # not everywhere can a listener be shut down
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake who waits in accept
        self._listener.close()
        if self._thread.ident is not None:
            self._thread.join(5)
        self.drop()

    def restart(self, away_s: float = 0.0) -> None:
        """Goes away, and is back at the same port after so long; what is beside it stays."""
        HostileServer.stop(self)
        # Bound at once, or the system might give the port to anybody meanwhile; whoever dials it is refused.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        time.sleep(away_s)
        listener.listen()
        self._hear(listener)
        HostileServer.start(self)

    def keep(self, told: bytes) -> None:
        """Puts it among what is kept, while that is fewer than ``MOST_KEPT``."""
        if len(self.kept) < MOST_KEPT:
            self.kept.append(told)

    def record(self) -> None:
        """Keep from now on what careless clients give away."""
        self.taken = self.keep

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
            except ConnectionError:
                continue  # gone before it was here
            except OSError:
                return
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection: socket.socket) -> None:
        session = Session(connection, self.certificate)
        with self._lock:
            welcome = not self._stopped and len(self._open) < MOST_SESSIONS
            if welcome:
                self._open.add(session)
        try:
            if welcome:
                self.serve(session)
        except _UNSPEAKABLE:
            pass
        finally:
            with self._lock:
                self._open.discard(session)
            session.close()


class Session:
    """One accepted connection, plaintext until :meth:`secure`."""

    def __init__(self, connection: socket.socket, certificate: Certificate) -> None:
        connection.settimeout(PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._certificate = certificate
        self._lock = threading.Lock()
        self._dropped = False

    def secure(self) -> None:
        """The server's side of a TLS handshake, here and now.

        Raises:
            ValueError: There is TLS already.
        """
        if self.secured:
            raise ValueError("TLS within TLS is no driver's")
        context = self._certificate.server_context()
        with self._lock:  # whoever drops the session must not do it while the socket changes hands
            if self._dropped:
                raise EOFError
            wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = wrapped
        wrapped.do_handshake()

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
        with self._lock, contextlib.suppress(OSError):  # it may be gone already
            self._dropped = True
            # Not the TLS socket's own: that one forgets its keys first, and what is sent meanwhile would be plaintext.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()
