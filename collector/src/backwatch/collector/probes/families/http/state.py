"""What is known of one HTTP connection, of one request on it, and how its bytes add up."""

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from backwatch.collector import names
from backwatch.collector.payload.response_indicators import MAX_INSPECTED_BYTES, find_document_indicators
from backwatch.collector.probes.families.http.claims import Claim
from backwatch.collector.probes.toolkit.sockets import descriptor
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from backwatch.collector.runtime.record import AttributeValue, Caller, Session


def nothing() -> None:
    """No socket."""


class Counted(SocketCounters):
    """Bytes that were read off the wire in parts, before the socket was closed."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        super().__init__(-1)
        self.sent, self.received = UNKNOWN

    def add(self, wire: SocketCounters) -> None:
        """Takes what went by since the last reading."""
        sent, received = wire.read_delta()
        if sent >= 0:
            self.sent = max(self.sent, 0) + sent
            self.received = max(self.received, 0) + received

    def add_if_open(self, link: "Link") -> None:
        """Likewise, where the number still names this connection: a closed one may name another by now."""
        socket = link.socket()
        if socket is not None and descriptor(socket) == link.number >= 0:
            self.add(link.wire)

    def read_delta(self) -> tuple[int, int]:
        """All that was taken."""
        return self.sent, self.received


class Link:
    """What is known of one connection."""

    __slots__ = ("connecting_ns", "number", "pending", "session", "sessions", "socket", "wire")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.sessions: dict[tuple[str, str, int, str, str], Session] = {}
        self.socket: Callable[[], Any] = nothing
        self.number = -1
        self.wire = SocketCounters(-1)
        self.pending: Exchange | None = None
        self.connecting_ns = 0


class Exchange:
    """One request and its response."""

    __slots__ = (
        "caller", "claim", "compressed", "connect_failed", "counted", "document", "ended", "error", "estimate",
        "facts", "head", "link", "login", "method", "path", "released", "response", "session", "signs", "start_ns",
        "statement", "status", "target", "told", "unpacked", "url",
    )  # fmt: skip

    def __init__(self, link: Link, method: str, path: str, login: tuple[str, str], claim: Claim | None) -> None:
        self.caller: Caller | None = None
        self.claim = claim
        self.link = link
        self.method = method
        self.path = path
        self.login = login
        self.start_ns = time.time_ns()
        self.session: Session | None = None
        self.status = 0
        self.url = self.statement = self.target = ""
        self.error: BaseException | str | None = None
        self.facts: tuple[tuple[str, AttributeValue], ...] = ((names.HTTP_METHOD, method),)
        self.counted = Counted()
        self.response: Callable[[], Any] | None = None
        """What the layer above made of the answer, weakly."""
        self.estimate: list[int] | None = None
        """Bytes sent and received, where the kernel's count is not this request's: its connection is shared."""
        self.unpacked: tuple[int, int] | None = None
        """Bytes of a compressed body, and what it became."""
        self.document: str | None = None
        """What kind of document its body is, until its beginning has been looked at; ``None``: not known yet."""
        self.head = b""
        """That beginning, as far as it has come: its sender says in how many pieces it comes."""
        self.signs: list[str] = []
        """What that showed."""
        self.compressed = self.connect_failed = self.ended = self.released = self.told = False
        """``ended``: its bytes are counted, the body is still being unpacked."""

    def looks(self, piece: object) -> None:
        """Some of its body, as the app will have it: the beginning is kept, where it is a document."""
        if self.document and isinstance(piece, bytes):
            limit = MAX_INSPECTED_BYTES[self.document]
            self.head += piece[: limit - len(self.head)]
            if len(self.head) >= limit:
                self.judge()

    def judge(self) -> None:
        """As much of its beginning as came is looked at."""
        if self.document and self.head:
            self.signs, self.document, self.head = find_document_indicators(self.document, self.head), "", b""


Started: TypeAlias = tuple[Exchange, "Token[Exchange | None]"]
