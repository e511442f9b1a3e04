"""The state of one HTTP connection, of a request on it, and of its byte counts."""

import time
from typing import TYPE_CHECKING, Any

from backwatch.collector import names
from backwatch.collector.exposure import mode
from backwatch.collector.exposure.cells import MAX_JSON
from backwatch.collector.exposure.observation import received_value_facts
from backwatch.collector.payload.response_indicators import MAX_INSPECTED_BYTES, find_document_indicators
from backwatch.collector.probes.families.http.claims import Claim
from backwatch.collector.probes.toolkit.sockets import descriptor
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

if TYPE_CHECKING:
    from collections.abc import Callable

    from backwatch.collector.runtime.record import Caller, Facts, Session


def no_socket() -> None:
    """Stand in for a weak reference, where there is no socket."""


class ByteSum(SocketCounters):
    """Bytes that were read off the wire in parts, before the socket was closed."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        super().__init__(-1)
        self.sent, self.received = UNKNOWN

    def add(self, wire: SocketCounters) -> None:
        """Add what went by since the last reading."""
        sent, received = wire.read_delta()
        if sent >= 0:
            self.sent = max(self.sent, 0) + sent
            self.received = max(self.received, 0) + received

    def add_if_open(self, state: "HttpConnectionState") -> None:
        """Add likewise, where the number still names this connection: a closed one may name another by now."""
        socket = state.socket()
        if socket is not None and descriptor(socket) == state.number >= 0:
            self.add(state.wire)

    def read_delta(self) -> tuple[int, int]:
        """Return the whole sum."""
        return self.sent, self.received


class HttpConnectionState:
    """The state of one connection."""

    __slots__ = ("connecting_ns", "number", "pending", "session", "sessions", "socket", "wire")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.sessions: dict[tuple[str, str, int, str, str], Session] = {}
        self.socket: Callable[[], Any] = no_socket
        self.number = -1
        self.wire = SocketCounters(-1)
        self.pending: Exchange | None = None
        self.connecting_ns = 0


class Exchange:
    """One request and its response."""

    __slots__ = (
        "body",
        "caller",
        "claim",
        "compressed",
        "connect_failed",
        "connection",
        "counted",
        "document",
        "ended",
        "error",
        "estimate",
        "facts",
        "head",
        "login",
        "method",
        "path",
        "received",
        "released",
        "reported",
        "response",
        "session",
        "signs",
        "start_ns",
        "state",
        "statement",
        "status",
        "target",
        "unpacked",
        "url",
    )  # fmt: skip

    def __init__(
        self, state: HttpConnectionState, method: str, path: str, login: tuple[str, str], claim: Claim | None
    ) -> None:
        self.caller: Caller | None = None
        self.claim = claim
        self.state = state
        self.method = method
        self.path = path
        self.login = login
        self.start_ns = time.time_ns()
        self.session: Session | None = None
        self.status = 0
        self.url = self.statement = self.target = ""
        self.error: BaseException | str | None = None
        self.facts: Facts = ((names.HTTP_METHOD, method),)
        self.counted = ByteSum()
        self.connection: Callable[[], Any] = no_socket
        """The connection, weakly."""
        self.response: Callable[[], Any] | None = None
        """The response object of the layer above, weakly."""
        self.estimate: list[int] | None = None
        """Bytes sent and received, where the kernel's count is not this request's: its connection is shared."""
        self.unpacked: tuple[int, int] | None = None
        """Bytes of a compressed body, and of what was unpacked."""
        self.document: str | None = None
        """The kind of document in its body, until its beginning has been inspected; ``None``: not known yet."""
        self.body: object = None
        """The beginning of a request's body, where its kinds of data are reported; ``None``: none, or not known."""
        self.received: Facts = ()
        self.head = b""
        """That beginning, as far as it has come: its sender chooses in how many pieces it comes."""
        self.signs: list[str] = []
        """The indicators that the inspection found."""
        self.compressed = self.connect_failed = self.ended = self.released = self.reported = False
        """``ended``: its bytes are counted, the body is still being unpacked."""

    def keep_body(self, body: object) -> None:
        """Keep the beginning of a request's body, if it is exactly a text or bytes."""
        if mode.reads_columns and (body.__class__ is bytes or body.__class__ is str):
            self.body = body[:MAX_JSON]  # pyright: ignore[reportIndexIssue]

    def inspect(self, piece: object) -> None:
        """Keep the beginning of an unpacked document, until there is enough to inspect."""
        if self.document and isinstance(piece, bytes):
            limit = MAX_INSPECTED_BYTES[self.document]
            self.head += piece[: limit - len(self.head)]
            if len(self.head) >= limit:
                self.finish_inspection()

    def finish_inspection(self) -> None:
        """Inspect as much of the beginning as came."""
        if self.document and self.head:
            self.received = received_value_facts(self.statement, self.head)
            self.signs, self.document, self.head = find_document_indicators(self.document, self.head), "", b""
