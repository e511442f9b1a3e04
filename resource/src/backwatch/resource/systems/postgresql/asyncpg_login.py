"""What a server asks of asyncpg at login, read before asyncpg answers.

asyncpg has no option for this. Its protocols are objects of a Python class, so one that belongs to an attached resource
gets an ``data_received`` of its own until the login is over; then it is the driver's again. Other connections of the
process are untouched.
"""

import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import Attachment

OK: Final = 0
CLEAR: Final = 3
MD5: Final = 5
SASL: Final = 10
SASL_CONTINUE: Final = 11
MAX_ITERATIONS: Final = 1_000_000
"""SCRAM rounds: PostgreSQL's default is 4,096; each million costs about a second of the app's processor."""
MAX_LOGIN_BYTES: Final = 64 * 1024
FIX: Final = "Let the server ask for scram-sha-256, or set auth if this login is meant"

_judging: ContextVar["_Login | None"] = ContextVar("backwatch_asyncpg_login", default=None)


class _Login:
    """One login. ``refusal`` is set once the server asked for what the policy refuses."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._wanted = attachment.policy.text("auth")
        self._buffer = bytearray()
        self._was_asked = False
        self.refusal: ResourceUnsafe | None = None

    def restart(self) -> None:
        """Begin with another server: the first of several may have hung up in the middle of a message."""
        self._buffer.clear()
        self._was_asked = False

    def judge(self, data: bytes) -> bool:
        """Read what arrived; return whether the login is over."""
        self._buffer += data
        while len(self._buffer) >= 5:
            length = int.from_bytes(self._buffer[1:5], "big")
            if length < 4 or len(self._buffer) > MAX_LOGIN_BYTES:
                return True  # no login; asyncpg reports it
            if len(self._buffer) < length + 1:
                return False
            kind, body = self._buffer[0], bytes(self._buffer[5 : length + 1])
            del self._buffer[: length + 1]
            if kind != ord("R") or len(body) < 4:
                return True
            if self._judge_request(struct.unpack(">I", body[:4])[0], body[4:]):
                return True
        return False

    def _judge_request(self, code: int, body: bytes) -> bool:
        if code == CLEAR and self._wanted != "any":
            self._refuse("the server asks for the password in clear")
        elif code == MD5 and self._wanted == "strong":
            self._refuse("the server asks for an MD5 hash")
        elif code == OK and not self._was_asked and self._attachment.url.password and self._wanted != "any":
            self._refuse("the server lets the account in without its password")
        elif code == SASL_CONTINUE:
            rounds = next((part[2:] for part in body.split(b",") if part.startswith(b"i=")), b"0")
            if not rounds.isdigit() or len(rounds) > 9 or int(rounds) > MAX_ITERATIONS:
                self._refuse(f"the server asks for {rounds[:20].decode('ascii', 'replace')} rounds of SCRAM")
        self._was_asked = True
        return code == OK or self.refusal is not None

    def _refuse(self, seen: str) -> None:
        try:
            self._attachment.refuse("auth", seen, FIX)
        except ResourceUnsafe as refusal:
            self.refusal = refusal


@contextmanager
def judge_login(attachment: Attachment) -> Generator[None]:
    """Judge the logins of asyncpg within this context.

    Raises:
        ResourceUnsafe: The server asked for what the policy refuses. Nothing was answered.
    """
    if not attachment.policy.enforced:
        yield
        return
    _watch_protocols()
    login = _Login(attachment)
    token = _judging.set(login)
    try:
        yield
    except Exception as error:
        if login.refusal is not None:
            raise login.refusal from error
        raise
    finally:
        _judging.reset(token)


def _watch_protocols() -> None:
    """Let each new protocol look for a login that is being judged: once per process."""
    import asyncpg.protocol

    protocol: Any = asyncpg.protocol.Protocol
    if "backwatch_judged" in vars(protocol):
        return
    original: Callable[..., None] = protocol.__init__

    def initialize(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        login = _judging.get()
        if login is not None:
            _judge_protocol(self, login)

    protocol.__init__ = initialize
    protocol.backwatch_judged = True


def _judge_protocol(protocol: Any, login: _Login) -> None:
    received: Callable[[bytes], None] = protocol.data_received
    made: Callable[[Any], None] = protocol.connection_made
    transports: list[Any] = []
    login.restart()

    def connect(transport: Any) -> None:
        transports.append(transport)
        del protocol.connection_made
        made(transport)

    def judge(data: bytes) -> None:
        is_over = login.judge(data)
        if login.refusal is not None:
            transports[0].abort()
            return
        if is_over:
            del protocol.data_received
        received(data)

    protocol.connection_made, protocol.data_received = connect, judge
