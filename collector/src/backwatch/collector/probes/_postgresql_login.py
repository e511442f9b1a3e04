"""How a PostgreSQL server lets its client in, read from what it sends until then.

https://www.postgresql.org/docs/current/protocol-message-formats.html (``Authentication…``)
"""

from typing import Final

MOST: Final = 65_536
"""Bytes of one message, and of what is kept until its rest has come; a server that sends more says nothing here."""
NOT_ASKED: Final = "none"
"""It let the client in and asked for no password."""
_HEAD: Final = 5
_AUTHENTICATION: Final = ord("R")
_BEFORE: Final = frozenset(b"RNv")
"""Kinds of messages that may come before the login is done: of it, notices, versions of the protocol."""
_OK: Final = 0
_GOES_ON: Final = frozenset((8, 11, 12))
"""The second half of what was begun."""
_METHODS: Final = {3: "clear-password", 5: "md5", 7: "gssapi", 9: "sspi"}
_SASL: Final = 10
_SCRAM: Final = "scram-sha-256"
"""Of what SASL offers, the one that asyncpg speaks: no channel binding."""


class LoginReader:
    """Fed with what the server sends, in pieces of any size.

    Attributes:
        method: How the server asks, in words of ``backwatch.auth.method``; empty: it has not said so.
        ended: Whether the server has taken the login or refused it, or cannot be read: what follows is of no interest.
    """

    __slots__ = ("_left", "_unasked", "ended", "method")

    def __init__(self) -> None:
        self.method = ""
        self.ended = False
        self._left = b""
        self._unasked = True

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self.ended:
            return
        left = self._left + bytes(data[: 2 * MOST])
        at = 0
        while not self.ended and len(left) - at >= _HEAD:
            size = int.from_bytes(left[at + 1 : at + _HEAD])
            if left[at] not in _BEFORE or not _HEAD - 1 <= size <= MOST:
                self.ended = True
            elif len(left) - at <= size:
                break
            elif left[at] == _AUTHENTICATION:
                self._asked(left[at + _HEAD : at + 1 + size])
            at += 1 + size
        self._left = b"" if self.ended else left[at:]

    def _asked(self, body: bytes) -> None:
        code = int.from_bytes(body[:4]) if len(body) >= 4 else -1
        self._unasked &= code == _OK
        if code == _OK:
            self.method = NOT_ASKED if self._unasked else self.method
            self.ended = True
        elif code == _SASL:
            offered = body[4:1_000].decode("ascii", "replace").lower().split("\0")
            self.method = _SCRAM if _SCRAM in offered else ""
        elif code in _METHODS:
            self.method = _METHODS[code]
        elif code not in _GOES_ON:
            self.method, self.ended = "", True  # one that is not known here
