"""Records that probes make: the facts of a session, once, and one compact record per call.

Standard library only. Nothing is computed twice: the encoder keeps a session's encoded scope in the session.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

AttributeValue = str | int | bool | float
Facts = tuple[tuple[str, AttributeValue], ...]
"""Facts of a call by their contract names."""

CLIENT: Final = 3
PRODUCER: Final = 4
CONSUMER: Final = 5
"""OTLP span kinds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """One transport connection to a resource; its facts hold for all its calls.

    ``None`` and ``""`` mean that the driver does not report the fact: nothing is ever guessed. A probe makes one object
    per connection and state (a new one after STARTTLS, login or SELECT of another database) and passes it with each
    call.

    Attributes:
        system: ``db.system.name`` of the service (``postgresql``, ``mysql``, ``redis``, ``sqlite``), else ``http``,
        ``smtp``. address: Host as the app asked for it, or the path of a unix socket or file.
        port: As asked for; 0 where there is none.
        namespace: Database, virtual host, index; ``""`` where there is none.
        transport: ``tcp``, ``unix`` or ``inproc``.
        requested: What TLS the app or its driver's default asked for: disable, prefer, require, verify-ca, verify-full.
        requested_explicit: True where the app itself asked for it.
        encrypted: ``None`` where the driver does not report it.
        verified: ``none``, ``chain`` or ``full``.
        not_before, not_after: RFC 3339, UTC.
        account: The name that logged in. The secret is never kept.
        extra: Further session facts by their contract name.
    """

    system: str
    address: str = ""
    port: int = 0
    namespace: str = ""
    transport: str = "tcp"
    requested: str = ""
    requested_explicit: bool | None = None
    encrypted: bool | None = None
    tls_version: str = ""
    cipher: str = ""
    verified: str = ""
    certificate_sha256: str = ""
    not_before: str = ""
    not_after: str = ""
    issuer: str = ""
    subject: str = ""
    peer_address: str = ""
    peer_port: int = 0
    account: str = ""
    server_version: str = ""
    server_id: str = ""
    auth_method: str = ""
    extra: Facts = ()
    encoded: list[bytes] = field(default_factory=list, repr=False)
    """The session as OTLP scope bytes, once the encoder has made them."""


class CallSite(NamedTuple):
    """The app's own frame that made the call, not the driver's.

    Attributes:
        path: The caller within the app, this function, and the helper that passed the statement on; empty where it
            would name this function alone.
    """

    function: str
    file: str
    line: int
    path: str = ""


class Caller(NamedTuple):
    """The caller of a call that ends on another thread than it began on, captured at its beginning.

    Attributes:
        parent_id: The span that was current; 0: none.
    """

    trace_id: int
    parent_id: int
    site: CallSite | None
    route: str


class Call(NamedTuple):
    """One operation on a resource, redacted, as it is queued.

    The fields that calls of one call site share stand together (``operation`` to ``route``): they are encoded once.

    Attributes:
        operation: The span's name: ``SELECT``, ``GET``, ``connect``.
        text: ``db.query.text`` for SQL, ``backwatch.statement`` for everything else; redacted and cut; ``""``: none.
        sql: True if ``text`` is SQL.
        signs: Comma-separated words of ``names.SIGNS``.
        rows_returned, rows_affected, bytes_sent, bytes_received: -1 where unknown.
        error: The exception's class name or the service's error code; ``""``: none.
        facts: Further facts of this call by their contract name.
    """

    session: Session
    operation: str
    text: str
    sql: bool
    signs: str
    kind: int
    site: CallSite | None
    route: str
    start_ns: int
    end_ns: int
    trace_id: int
    span_id: int
    parent_id: int
    bytes_sent: int
    bytes_received: int
    bytes_estimated: bool
    rows_returned: int
    rows_affected: int
    error: str
    facts: Facts
