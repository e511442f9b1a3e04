"""How a PostgreSQL server lets its client in, read from what it sends until then, as asyncpg reads it.

https://www.postgresql.org/docs/current/protocol-message-formats.html (``Authentication…``)
"""

from typing import Final

MOST: Final = 65_536
"""Bytes of one request for a login; a server that sends more says nothing here."""
NOT_ASKED: Final = "none"
"""It let the client in and asked for no password, or did not look at what it was given."""
_HEAD: Final = 5
_AUTHENTICATION, _READY = ord("R"), ord("Z")
_BEFORE: Final = frozenset(b"RSANKv")
"""Kinds of messages that asyncpg takes before it is logged in: what may stand beside a request."""
_OK: Final = 0
_SASL, _SASL_ENDS = 10, 12
_GOES_ON: Final = frozenset((8, 11))
"""The second half of GSSAPI and of SASL."""
_METHODS: Final = {3: "clear-password", 5: "md5", 7: "gssapi", 9: "sspi"}
_WEAKNESS: Final = {"clear-password": 0, "md5": 1}
_SCRAM: Final = "scram-sha-256"
"""Of what SASL offers, the one that asyncpg speaks: no channel binding."""


class LoginReader:
    """Fed with what the server sends, in pieces of any size.

    Attributes:
        method: How the server asks, in words of ``backwatch.auth.method``, the weakest where it asks more than once;
            empty: it has not said so, or in a way that is not known here.
        ended: Whether the server has taken the login or refused it, or cannot be read: what follows is of no interest.
    """

    __slots__ = ("_left", "_proof", "_skip", "_unasked", "ended", "method")

    def __init__(self) -> None:
        self.method = ""
        self.ended = False
        self._left = b""
        self._skip = 0
        """Bytes still to come of a message that is no request."""
        self._unasked = True
        self._proof = True
        """Whether nothing was asked for of which the server has yet to show that it knows the password."""

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self.ended:
            return
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        left, at = self._left + bytes(data[skipped:]), 0
        while not self.ended and len(left) - at >= _HEAD:
            kind, size = left[at], int.from_bytes(left[at + 1 : at + _HEAD])
            end = at + 1 + size
            if kind not in _BEFORE or size < _HEAD - 1 or (kind == _AUTHENTICATION and size > MOST):
                self._ends(taken=kind == _READY)
            elif kind != _AUTHENTICATION:
                self._skip, at = max(0, end - len(left)), min(end, len(left))
            elif end > len(left):
                break
            else:
                self._asks(left[at + _HEAD : end])
                at = end
        self._left = b"" if self.ended else left[at:]

    def _ends(self, *, taken: bool) -> None:
        if taken and (self._unasked or not self._proof):
            self.method = NOT_ASKED
        self.ended = True

    def _asks(self, body: bytes) -> None:
        code = int.from_bytes(body[:4]) if len(body) >= 4 else -1
        if code == _OK:
            self._ends(taken=True)
        elif code == _SASL:
            offered = body[4:1_000].decode("ascii", "replace").lower().split("\0")
            self._heard(_SCRAM if _SCRAM in offered else "")
            self._proof = not self.method
        elif code in _METHODS:
            self._heard(_METHODS[code])
        elif code == _SASL_ENDS:
            self._proof = True
        elif code not in _GOES_ON:
            self.method, self.ended = "", True
        self._unasked = False

    def _heard(self, method: str) -> None:
        """Who was sent the password itself once has it, whatever else was proven then."""
        if self._unasked or _WEAKNESS.get(method, 2) < _WEAKNESS.get(self.method, 2):
            self.method = method
