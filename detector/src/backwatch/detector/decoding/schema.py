"""The columns that a call becomes: contract name, kind, older names of the same fact, and where each may be told.

Session facts are read from a scope's attributes and a span's alike, and the span wins; what describes one call is
read from its span alone; who the app is, from its OTLP resource alone, which no span may override.
"""

from typing import Final, NamedTuple

from backwatch.collector import names

TEXT, NUMBER, FLAG = range(3)

RESOURCE, SCOPE, SPAN, EVENT = 1, 2, 4, 8
"""Where an attribute may stand, as bits."""
SESSION: Final = SCOPE | SPAN

SPAN_NAME: Final = "span.name"
"""The span's own name, which is a field and no attribute."""
# Other people's names, read here only.
DB_COLLECTION: Final = "db.collection.name"
MESSAGING_OPERATION: Final = "messaging.operation.name"
RPC_SERVICE: Final = "rpc.service"
RPC_METHOD: Final = "rpc.method"

MAX_SPANS: Final = 100_000
"""Spans that one record may hold; one with more is malformed."""
MAX_SMALL_SPANS: Final = 4_096
MIN_SPAN_BYTES: Final = 16
"""A record with more spans than this is malformed where they are smaller on average: a call costs two kilobytes of
columns, so 400 kB of empty spans that inherit everything from their scope would cost 250 MB."""
MAX_ATTRIBUTES: Final = 128
"""Attributes read of one resource, scope, span or event; the rest is counted."""
LARGEST: Final = 1 << 40
"""Numbers saturate here, so that sums over a window stay far from the end of 64 bits."""
LATEST_NS: Final = 1 << 62
"""Times beyond it (the year 2116), and 0, count as not told."""


class Column(NamedTuple):
    """One fact.

    Attributes:
        name: By the contract.
        kind: ``TEXT``, ``NUMBER`` or ``FLAG``.
        levels: Where it may be told.
        aliases: Older names and near ones, best first; each gives way to the names before it.
    """

    name: str
    kind: int
    levels: int
    aliases: tuple[str, ...] = ()


COLUMNS: Final = (
    # The app.
    Column(names.SERVICE_NAME, TEXT, RESOURCE),
    Column(names.SERVICE_NAMESPACE, TEXT, RESOURCE),
    Column(names.ENVIRONMENT, TEXT, RESOURCE, ("deployment.environment",)),
    Column(names.SERVICE_RELEASE, TEXT, RESOURCE),
    # Which service was asked for.
    Column(names.DB_SYSTEM, TEXT, SESSION, ("db.system",)),
    Column(names.MESSAGING_SYSTEM, TEXT, SESSION),
    Column(names.RPC_SYSTEM, TEXT, SESSION, ("rpc.system.name",)),
    Column(names.SYSTEM, TEXT, SESSION),
    Column(names.RESOURCE_NAME, TEXT, SESSION),
    Column(names.SERVER_ADDRESS, TEXT, SESSION, ("net.peer.name", "net.sock.peer.name", "peer.service")),
    Column(names.SERVER_PORT, NUMBER, SESSION, ("net.peer.port",)),
    Column(names.DB_NAMESPACE, TEXT, SESSION, ("db.name", "db.redis.database_index")),
    Column(names.MESSAGING_DESTINATION, TEXT, SESSION, ("messaging.destination",)),
    # What was asked.
    Column(names.QUERY_TEXT, TEXT, SPAN, ("db.statement",)),
    Column(names.OPERATION, TEXT, SPAN, ("db.operation",)),
    Column(DB_COLLECTION, TEXT, SPAN, ("db.sql.table", "db.mongodb.collection")),
    Column(names.STATEMENT, TEXT, SPAN),
    Column(names.QUERY_SIGNS, TEXT, SPAN),
    Column(names.HTTP_METHOD, TEXT, SPAN, ("http.method",)),
    Column(names.HTTP_STATUS, NUMBER, SPAN, ("http.status_code",)),
    Column(names.HTTP_ROUTE, TEXT, SPAN),
    Column(names.URL_FULL, TEXT, SPAN, ("http.url",)),
    Column(names.URL_SECRET, FLAG, SPAN),
    Column(MESSAGING_OPERATION, TEXT, SPAN, ("messaging.operation.type", "messaging.operation")),
    Column(RPC_SERVICE, TEXT, SPAN),
    Column(RPC_METHOD, TEXT, SPAN),
    Column(SPAN_NAME, TEXT, 0),
    # Who called.
    Column(names.CODE_FUNCTION, TEXT, SPAN, ("code.function",)),
    Column(names.CODE_FILE, TEXT, SPAN, ("code.filepath",)),
    Column(names.CODE_LINE, NUMBER, SPAN, ("code.lineno",)),
    # The session's facts.
    Column(names.TLS_ESTABLISHED, FLAG, SESSION),
    Column(names.TLS_VERSION, TEXT, SESSION),
    Column(names.TLS_CIPHER, TEXT, SESSION),
    Column(names.CERT_SHA256, TEXT, SESSION),
    Column(names.CERT_NOT_BEFORE, TEXT, SESSION),
    Column(names.CERT_NOT_AFTER, TEXT, SESSION),
    Column(names.CERT_ISSUER, TEXT, SESSION),
    Column(names.CERT_SUBJECT, TEXT, SESSION),
    Column(names.TLS_REQUESTED, TEXT, SESSION),
    Column(names.TLS_REQUESTED_EXPLICIT, FLAG, SESSION),
    Column(names.TLS_VERIFIED, TEXT, SESSION),
    Column(names.PEER_ADDRESS, TEXT, SESSION, ("net.sock.peer.addr", "net.peer.ip")),
    Column(names.PEER_PORT, NUMBER, SESSION, ("net.sock.peer.port",)),
    Column(names.TRANSPORT, TEXT, SESSION, ("net.transport",)),
    Column(names.ACCOUNT, TEXT, SESSION, ("db.user",)),
    Column(names.ACCOUNT_SUPERUSER, FLAG, SESSION),
    Column(names.SERVER_VERSION, TEXT, SESSION),
    Column(names.SERVER_ID, TEXT, SESSION),
    Column(names.AUTH_METHOD, TEXT, SESSION),
    # Volume.
    Column(names.BYTES_SENT, NUMBER, SPAN, ("http.request.body.size", "http.request_content_length")),
    Column(names.BYTES_RECEIVED, NUMBER, SPAN, ("http.response.body.size", "http.response_content_length")),
    Column(names.BYTES_ESTIMATED, FLAG, SPAN),
    Column(names.ROWS_RETURNED, NUMBER, SPAN),
    Column(names.ROWS_AFFECTED, NUMBER, SPAN),
    # What came back.
    Column(names.ERROR_TYPE, TEXT, SPAN | EVENT, ("exception.type",)),
    Column(names.STATUS_CODE, TEXT, SPAN, ("rpc.grpc.status_code", "rpc.response.status_code")),
    Column(names.REDIRECT_TARGET, TEXT, SPAN),
    Column(names.PAYLOAD_FORMAT, TEXT, SPAN),
    Column(names.PAYLOAD_GLOBALS, TEXT, SPAN),
    Column(names.LOCAL_INFILE, FLAG, SPAN),
    Column(names.LOCAL_INFILE_FILE, TEXT, SPAN),
    Column(names.STARTTLS_OFFERED, FLAG, SESSION),
    Column(names.TOPOLOGY, TEXT, SPAN),
    Column(names.NOTICES, NUMBER, SPAN),
    Column(names.PAYLOAD_WIRE, NUMBER, SPAN),
    Column(names.PAYLOAD_SIZE, NUMBER, SPAN),
    Column(names.REDELIVERED, NUMBER, SPAN),
    Column(names.MESSAGE_FORMS, TEXT, SPAN),
    Column(names.RESPONSE_INDICATORS, TEXT, SPAN),
)


def _named(kind: int) -> tuple[str, ...]:
    return tuple(column.name for column in COLUMNS if column.kind == kind)


TEXTS: Final = _named(TEXT)
NUMBERS: Final = _named(NUMBER)
FLAGS: Final = _named(FLAG)
TEXT_INDEX: Final = {name: index for index, name in enumerate(TEXTS)}
NUMBER_INDEX: Final = {name: index for index, name in enumerate(NUMBERS)}
FLAG_INDEX: Final = {name: index for index, name in enumerate(FLAGS)}

SESSION_COLUMNS: Final = tuple(column for column in COLUMNS if column.levels == SESSION)
"""What belongs to the connection and to the resource it leads to."""

OWN_PREFIX: Final = "backwatch."
"""Names of ours: of a newer contract than we know they are not read, because they may mean something else by then."""

VERBATIM_SYSTEMS: Final = ("redis", "valkey", "memcached", "keydb", "dragonfly")
"""Systems whose ``db.query.text`` is a command line and no SQL."""
