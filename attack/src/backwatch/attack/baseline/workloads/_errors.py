"""Honest services that are busy now and then, or report that something does not exist."""

import time

from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.protocols.redis import RedisServer, Talk, bulk
from backwatch.attack.protocols.server import ServerSession

BUSY_S = 0.7
"""Longer than the apps wait."""
_MULTI = b"\0multi"
"""Stored under this key: the number of transactions, followed by ``+`` while one is open."""


class BusyWeb(Web):
    """Lacks goods of some names, and is busy at one path."""

    def reply(self, session: ServerSession, request: Request) -> None:
        """Respond late if the path is busy."""
        if request.path == b"/busy":
            time.sleep(BUSY_S)
        super().reply(session, request)

    def answer(self, request: Request) -> bytes:
        """Return the rates, or 404."""
        if request.path.endswith(b"/none"):
            return format_response(b'{"error": "there is none"}', status=b"404 Not Found")
        return super().answer(request)


class BusyRedis(RedisServer):
    """Aborts every other transaction, as after a concurrent change. One key is slow."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Respond as Redis does."""
        if verb == b"MULTI":
            talk.stored[_MULTI] = b"%d" % (int(talk.stored.get(_MULTI, b"0").rstrip(b"+") or 0) + 1) + b"+"
            return b"+OK\r\n"
        if verb == b"EXEC":
            count = talk.stored[_MULTI] = talk.stored[_MULTI].rstrip(b"+")
            return (b"_\r\n" if talk.resp3 else b"*-1\r\n") if int(count) % 2 else b"*1\r\n+OK\r\n"
        if talk.stored.get(_MULTI, b"").endswith(b"+"):
            return b"+QUEUED\r\n"
        if verb == b"GET" and command[1] == b"busy":
            time.sleep(BUSY_S)
            return bulk(b"at last")
        return super().answer(verb, command, talk)
