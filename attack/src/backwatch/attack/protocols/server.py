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
from typing import ClassVar, TypeVar

from backwatch.attack.authority import Authority, Certificate

LOOPBACK = "127.0.0.1"
SECRET = "only-on-loopback"
MAX_MESSAGE_BYTES = 1 << 24
"""Maximum bytes that a peer may announce in one message."""
MAX_KEPT = 1_024
"""Maximum number of values, statements or parts that a session may make a server keep."""
MAX_SESSIONS = 256
PATIENCE_S = 60
"""Seconds that a session may be silent."""
Receiver = Callable[[bytes], object]
"""Receives data that a client leaked."""
_CLIENT_ERRORS = (OSError, EOFError, ValueError, IndexError, struct.error)
"""The client left, or sent data that no driver sends."""


def _discard(_given: bytes) -> None:
    pass


_Server = TypeVar("_Server", bound="HostileServer")


class HostileServer(ABC):
    """A server that is honest until it turns hostile.

    Attributes:
        name: File name, and its name in the demo.
        attack: Its behaviour once hostile, in one sentence.
        reference: Description of this attack.
        driver: Client library of the demonstration.
        rule: Rule that must raise an alert.
        address: Address to listen on: loopback's, or another of loopback's block for a server at another address.
        on_leak: Receives data that a careless client leaked; discards it by default.
        kept: Leaked data, if recording is on: ``service.on_leak = service.kept.append``.
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
        self.on_leak: Receiver = _discard
        self.kept: list[bytes] = []
        self._companions: list[HostileServer] = []
        self._open: set[ServerSession] = set()
        self._lock = threading.Lock()
        self._listen(port)
        self.port: int = self._listener.getsockname()[1]

    def _listen(self, port: int) -> None:
        self._prepare_listener(socket.create_server((self.address, port)))

    def _prepare_listener(self, listener: socket.socket) -> None:
        self._listener = listener
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, name=f"attack-{self.name}", daemon=True)

    def attach(self, companion: _Server) -> _Server:
        """Return a second server, usually the attacker's, which starts and stops with this one."""
        self._companions.append(companion)
        return companion

    def start(self) -> None:
        """Start to listen, companions first."""
        for companion in self._companions:
            companion.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and drop all clients; the ports are free then."""
        self._stop_listening()
        for companion in self._companions:
            companion.stop()

    def _stop_listening(self) -> None:
        with self._lock:
            self._stopped = True
        with contextlib.suppress(OSError):  # shutdown of a listener is not supported everywhere
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake a thread in accept
        self._listener.close()
        if self._thread.ident is not None:
            self._thread.join(5)
        self.drop()

    def restart(self, away_s: float = 0.0) -> None:
        """Stop, and return at the same port after ``away_s`` seconds; companions keep running."""
        self._stop_listening()
        # Bound at once, or the system might assign the port to another process. Clients are refused meanwhile.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        time.sleep(away_s)
        listener.listen()
        self._prepare_listener(listener)
        self._thread.start()

    def keep(self, leaked: bytes) -> None:
        """Add data to ``kept``, up to ``MAX_KEPT`` items."""
        if len(self.kept) < MAX_KEPT:
            self.kept.append(leaked)

    def record(self) -> None:
        """Record what careless clients leak from now on, to this server and to its companions."""
        for server in (self, *self._companions):
            server.on_leak = server.keep

    def collect_leaks(self) -> list[bytes]:
        """Return what the attacker's side has received: its companions' data, or its own without any."""
        return [data for server in self._companions or (self,) for data in server.kept]

    def forget(self) -> None:
        """Clear what it and its companions have received."""
        for server in (self, *self._companions):
            server.kept.clear()

    def turn(self) -> None:
        """Turn hostile, and drop all sessions, so that clients connect to a hostile server."""
        self.hostile = True
        self.drop()

    def repent(self) -> None:
        """Turn honest again."""
        self.hostile = False
        self.drop()

    def drop(self) -> None:
        """Drop every session."""
        with self._lock:
            sessions, self._open = self._open, set()
        for open_session in sessions:
            open_session.drop()

    @abstractmethod
    def serve(self, session: "ServerSession") -> None:
        """Serve one session, from its first byte to its end."""

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except ConnectionError:
                continue  # the client left before it was accepted
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        session = ServerSession(connection, self.certificate)
        with self._lock:
            welcome = not self._stopped and len(self._open) < MAX_SESSIONS
            if welcome:
                self._open.add(session)
        try:
            if welcome:
                self.serve(session)
        except _CLIENT_ERRORS:
            pass
        finally:
            with self._lock:
                self._open.discard(session)
            session.close()


def combine(mixin: type[HostileServer], server: type[HostileServer]) -> type[HostileServer]:
    """Return a server class with the mixin first among its bases, if it is not among them already."""
    return server if issubclass(server, mixin) else type(server.__name__, (mixin, server), {})


class ServerSession:
    """One accepted connection, plaintext until :meth:`secure`."""

    def __init__(self, connection: socket.socket, certificate: Certificate) -> None:
        connection.settimeout(PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._certificate = certificate
        self._lock = threading.Lock()
        self._dropped = False

    def secure(self) -> None:
        """Run the server's side of a TLS handshake.

        Raises:
            ValueError: The session uses TLS already.
        """
        if self.secured:
            raise ValueError("TLS within TLS is no driver's")
        context = self._certificate.server_context()
        with self._lock:  # a concurrent drop must not happen while the socket is replaced
            if self._dropped:
                raise EOFError
            wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = wrapped
        wrapped.do_handshake()

    @property
    def secured(self) -> bool:
        """Return whether the session uses TLS."""
        return isinstance(self._socket, ssl.SSLSocket)

    def read(self, count: int) -> bytes:
        """Return exactly ``count`` bytes.

        Raises:
            EOFError: The client left before that.
        """
        if not 0 <= count <= MAX_MESSAGE_BYTES:
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
        """Return the next line without its end, 64 KiB at most."""
        found = bytearray()
        while not found.endswith(b"\n"):
            found += self.read(1)
            if len(found) > 1 << 16:
                raise ValueError("a line of that length is no driver's")
        return bytes(found).rstrip(b"\r\n")

    def send(self, data: bytes) -> None:
        """Send all data."""
        self._socket.sendall(data)

    def drop(self) -> None:
        """End the session from another thread; its serving thread then gets an error."""
        with self._lock, contextlib.suppress(OSError):  # it may be closed already
            self._dropped = True
            # Not the TLS socket's own shutdown: it drops its keys first, and later data would be plaintext.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
