"""The login method of a PostgreSQL connection, read from the server's messages as asyncpg reads them.

https://www.postgresql.org/docs/current/protocol-message-formats.html (``Authentication…``)
"""

from typing import Final

MAX_REQUEST_BYTES: Final = 65_536
"""Bytes of one login request; a larger one is not read."""
NOT_REQUESTED: Final = "none"
"""The server accepted the client without a request for a password, or without a check of it."""
_HEADER_BYTES: Final = 5
_AUTHENTICATION, _READY = ord("R"), ord("Z")
_BEFORE_READY: Final = frozenset(b"RSANKv")
"""Kinds of messages that asyncpg accepts before it is logged in."""
_OK: Final = 0
_SASL, _SASL_FINAL = 10, 12
_CONTINUATIONS: Final = frozenset((8, 11))
"""The second half of GSSAPI and of SASL."""
_METHODS: Final = {3: "clear-password", 5: "md5", 7: "gssapi", 9: "sspi"}
_STRENGTH: Final = {"clear-password": 0, "md5": 1}
_STRONG: Final = 2
_SCRAM: Final = "scram-sha-256"
"""The SASL mechanism that asyncpg speaks: no channel binding."""


class LoginReader:
    """A reader of the server's messages, which come in pieces of any size.

    Attributes:
        method: The requested method, in words of ``backwatch.auth.method``, the weakest where there are several
            requests; empty: none yet, or one that is unknown here.
        has_ended: The server has accepted or refused the login, or its messages cannot be read.
    """

    __slots__ = ("_has_proof", "_is_unrequested", "_rest", "_skip", "has_ended", "method")

    def __init__(self) -> None:
        self.method = ""
        self.has_ended = False
        self._rest = b""
        self._skip = 0
        """Bytes still to come of a message that is no request."""
        self._is_unrequested = True
        self._has_proof = True
        """False while a request awaits the server's proof that it knows the password."""

    def feed(self, data: bytes) -> None:
        """Read the next piece."""
        if self.has_ended:
            return
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        rest, at = self._rest + bytes(data[skipped:]), 0
        while not self.has_ended and len(rest) - at >= _HEADER_BYTES:
            kind, size = rest[at], int.from_bytes(rest[at + 1 : at + _HEADER_BYTES])
            end = at + 1 + size
            is_request = kind == _AUTHENTICATION
            if kind not in _BEFORE_READY or size < _HEADER_BYTES - 1 or (is_request and size > MAX_REQUEST_BYTES):
                self._end(accepted=kind == _READY)
            elif not is_request:
                self._skip, at = max(0, end - len(rest)), min(end, len(rest))
            elif end > len(rest):
                break
            else:
                self._read_request(rest[at + _HEADER_BYTES : end])
                at = end
        self._rest = b"" if self.has_ended else rest[at:]

    def _end(self, *, accepted: bool) -> None:
        if accepted and (self._is_unrequested or not self._has_proof):
            self.method = NOT_REQUESTED
        self.has_ended = True

    def _read_request(self, body: bytes) -> None:
        code = int.from_bytes(body[:4]) if len(body) >= 4 else -1
        if code == _OK:
            self._end(accepted=True)
        elif code == _SASL:
            offered = body[4:1_000].decode("ascii", "replace").lower().split("\0")
            self._keep_method(_SCRAM if _SCRAM in offered else "")
            self._has_proof = not self.method
        elif code in _METHODS:
            self._keep_method(_METHODS[code])
        elif code == _SASL_FINAL:
            self._has_proof = True
        elif code not in _CONTINUATIONS:
            self.method, self.has_ended = "", True
        self._is_unrequested = False

    def _keep_method(self, method: str) -> None:
        """Keep the weakest method: a server that was sent the password has it, despite later proofs."""
        if self._is_unrequested or _STRENGTH.get(method, _STRONG) < _STRENGTH.get(self.method, _STRONG):
            self.method = method
