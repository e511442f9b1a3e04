"""Every name that crosses a process boundary: span attributes, signs, topics, headers, the contract's version.

Standard library only: the detector, the store and the dashboard import this file and must not pull in OpenTelemetry.
Standard OpenTelemetry semantic conventions come first; what no convention covers is under ``backwatch.``.
"""

from typing import Final

CONTRACT: Final = 1
"""The version of the span contract that this collector writes, as scope attribute ``backwatch.contract``."""

# Topics and headers of the stream. Values are bare ``ExportTraceServiceRequest`` bytes on both topics.
TOPIC_SPANS: Final = "otlp_spans"
"""For third-party SDKs: any OpenTelemetry Collector, any language, any key."""
TOPIC_CALLS: Final = "backwatch_calls"
"""Keyed by app; the collector writes here, and the detector judges only this topic."""
HEADER_APPENDED: Final = "backwatch-appended-ns"
"""First append time of a record that the router re-published: decimal nanoseconds since the epoch."""
HEADER_BACKFILL: Final = "backwatch-backfill"
"""``1`` on a record of past calls: event time is then the calls' own, and the watermark the largest end seen."""

# The app (OTLP resource attributes).
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_RELEASE: Final = "service.version"
"""The app's own release; ``SERVER_VERSION`` is the service's."""
ENVIRONMENT: Final = "deployment.environment.name"

# The scope, which is the session.
BACKWATCH_CONTRACT: Final = "backwatch.contract"
SCOPE_CALLS: Final = "backwatch"
SCOPE_HEARTBEAT: Final = "backwatch.heartbeat"
"""Scope name of a record without spans, sent at intervals; carries the drop counts."""
HEARTBEAT_RELAYED: Final = "backwatch.heartbeat.relayed"
"""Heartbeat: 1 where the router carried it over from ``otlp_spans``: its app counts as silent."""
DROPPED_PREFIX: Final = "backwatch.dropped."
"""Heartbeat attributes ``backwatch.dropped.<kind>``: records dropped since the last heartbeat that was delivered."""
DROP_KINDS: Final = ("queue", "publish", "encode", "probe")
"""None for forks: what is queued stays the parent's, which goes on delivering it; a child begins with nothing."""
PROCESS_INSTANCE: Final = "backwatch.process.instance"
"""Heartbeat: 16 random hexadecimal digits of the process; with ``host.name`` and ``process.pid`` of its resource."""
PROCESS_PARENT: Final = "backwatch.process.parent"
"""Heartbeat: the instance that forked this one; absent: none that was watched."""
PROCESS_EVENT: Final = "backwatch.process.event"
"""Heartbeat: a word of ``PROCESS_EVENTS``."""
PROCESS_EVENTS: Final = ("start", "beat", "end")
PROCESS_STARTED: Final = "backwatch.process.started_ns"
"""Heartbeat: when the process's collector began, by its own clock."""
PROCESS_INTERVAL: Final = "backwatch.process.interval_ns"
"""Heartbeat: the next one comes within so long, or an ``end``."""
PROCESS_RECORDED: Final = "backwatch.process.recorded"
PROCESS_DELIVERED: Final = "backwatch.process.delivered"
"""Heartbeat: calls since the process began."""
PROCESS_DROPPED: Final = "backwatch.process.dropped"
"""Heartbeat: records of all kinds dropped since the process began; ``DROPPED_PREFIX`` has those since the last one."""
SILENT_RELATIVES: Final = "backwatch.process.relatives.silent"
"""Heartbeat: related processes that run, and whose collector does not: ``instance:pid:since_ns:delivered``, …"""
ENDED_RELATIVES: Final = "backwatch.process.relatives.ended"
"""Heartbeat: related processes that ended without a final heartbeat, in the same form."""
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"

# The requested service.
DB_SYSTEM: Final = "db.system.name"
DB_NAMESPACE: Final = "db.namespace"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
RPC_SYSTEM: Final = "rpc.system"
RESOURCE_NAME: Final = "backwatch.resource.name"
"""A name for the resource, in place of system, endpoint and namespace in its identity: of its config variable."""
RESOURCE_DECLARED: Final = "backwatch.resource.declared"
"""Whether the app's policy lists the host; absent where it lists none."""
SYSTEM: Final = "backwatch.system"
"""Kind of service where no convention names one: ``http``, ``smtp``."""
SYSTEMS: Final = (DB_SYSTEM, MESSAGING_SYSTEM, RPC_SYSTEM, SYSTEM)
"""Names of the kind of service; the first that is reported applies."""

# The request.
QUERY_TEXT: Final = "db.query.text"
OPERATION: Final = "db.operation.name"
STATEMENT: Final = "backwatch.statement"
"""Canonical text of a call that is not SQL: command with argument classes, method and path template, mail domains."""
QUERY_SIGNS: Final = "backwatch.query.signs"
"""Comma-separated words of ``SIGNS``, in the order of that list."""
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_FULL: Final = "url.full"
URL_SECRET: Final = "backwatch.url.secret"  # noqa: S105  a name
"""True where the query of a request holds a key, a token or a password; never false: names and looks prove nothing."""

# Names that third-party instrumentations use, and no probe.
SPAN_NAME: Final = "span.name"
"""The span's own name, which is a field of the span and no attribute."""
DB_COLLECTION: Final = "db.collection.name"
MESSAGING_OPERATION: Final = "messaging.operation.name"
RPC_SERVICE: Final = "rpc.service"
RPC_METHOD: Final = "rpc.method"

# The caller.
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"
CALL_PATH: Final = "backwatch.call.path"
"""The app's own functions on the way to the call, at most three, outermost first: ``file:function > file:function``."""

# The session's facts.
TLS_ESTABLISHED: Final = "tls.established"
TLS_VERSION: Final = "tls.protocol.version"
TLS_CIPHER: Final = "tls.cipher"
CERT_SHA256: Final = "tls.server.hash.sha256"
CERT_NOT_BEFORE: Final = "tls.server.not_before"
CERT_NOT_AFTER: Final = "tls.server.not_after"
CERT_ISSUER: Final = "tls.server.issuer"
CERT_SUBJECT: Final = "tls.server.subject"
TLS_REQUESTED: Final = "backwatch.tls.requested"
"""disable, prefer, require, verify-ca or verify-full: what the app or its driver's default asked for."""
TLS_REQUESTED_EXPLICIT: Final = "backwatch.tls.requested.explicit"
"""True where the app itself asked, false where the driver's default did."""
TLS_VERIFIED: Final = "backwatch.tls.verified"
"""none, chain or full."""
PEER_ADDRESS: Final = "network.peer.address"
PEER_PORT: Final = "network.peer.port"
TRANSPORT: Final = "network.transport"
"""tcp, unix or pipe; ``inproc`` for a library that opens files (sqlite3)."""
OVER_TLS: Final = frozenset((
    TLS_ESTABLISHED, TLS_VERSION, TLS_CIPHER, TLS_REQUESTED, TLS_REQUESTED_EXPLICIT, TLS_VERIFIED, CERT_SHA256,
    CERT_NOT_BEFORE, CERT_NOT_AFTER, CERT_ISSUER, CERT_SUBJECT, PEER_ADDRESS, PEER_PORT, TRANSPORT,
))  # fmt: skip
"""Facts of a driver whose TLS socket can be read."""
ACCOUNT: Final = "backwatch.account"
ACCOUNT_SUPERUSER: Final = "backwatch.account.superuser"
"""True where the account may do everything: PostgreSQL's parameter ``is_superuser``, sent at each login."""
SERVER_VERSION: Final = "backwatch.server.version"
SERVER_ID: Final = "backwatch.server.id"
AUTH_METHOD: Final = "backwatch.auth.method"

# Volume.
BYTES_SENT: Final = "backwatch.bytes.sent"
BYTES_RECEIVED: Final = "backwatch.bytes.received"
BYTES_ESTIMATED: Final = "backwatch.bytes.estimated"
ROWS_RETURNED: Final = "db.response.returned_rows"
ROWS_AFFECTED: Final = "backwatch.rows.affected"

# The response.
ERROR_TYPE: Final = "error.type"
STATUS_CODE: Final = "db.response.status_code"
REDIRECT_TARGET: Final = "backwatch.redirect.target"
PAYLOAD_FORMAT: Final = "backwatch.payload.format"
PAYLOAD_CONTAINERS: Final = "backwatch.payload.containers"
"""Comma-separated containers in which the format stood, sorted: ``base64,zlib``."""
PAYLOAD_GLOBALS: Final = "backwatch.payload.globals"
"""Comma-separated names of what a value would load: ``module.name`` of a pickle, classes of other formats."""
PAYLOAD_WRITTEN: Final = "backwatch.payload.written"
"""What the app itself wrote: formats and containers with ``+`` between them, then names, separated by commas."""
LOCAL_INFILE: Final = "backwatch.mysql.local_infile.requested"
LOCAL_INFILE_FILE: Final = "backwatch.mysql.local_infile.file"
STARTTLS_OFFERED: Final = "backwatch.starttls.offered"
TOPOLOGY: Final = "backwatch.topology"
"""Comma-separated ``host:port``, sorted: the nodes that the service announces to its clients (cluster nodes, replica
set members, advertised brokers, discovered servers)."""
NOTICES: Final = "backwatch.notices"
"""Number of notices, warnings or asynchronous messages that came with the response, unrequested."""
PAYLOAD_WIRE: Final = "backwatch.payload.wire"
"""Bytes of a compressed body as they came over the wire."""
PAYLOAD_SIZE: Final = "backwatch.payload.size"
"""Bytes of the same body after it was unpacked; reported together with ``PAYLOAD_WIRE``."""
REDELIVERED: Final = "backwatch.redelivered"
"""Number of earlier deliveries of a message, if broker or client count them; absent: a first delivery, or unknown."""
MESSAGE_FORMS: Final = "backwatch.message.forms"
"""Comma-separated forms of the messages that a topic brought, each once: a word of ``FORM_VALUES``, and behind ``+``
those of ``FORM_PARTS`` that came with it, in the order of the lists."""
RESPONSE_INDICATORS: Final = "backwatch.response.indicators"
"""Comma-separated words of ``INDICATOR_WORDS``, in the order of that list."""

# Kinds of data, never the data.
DATA_RECEIVED: Final = "backwatch.data.received"
DATA_SENT: Final = "backwatch.data.sent"
"""Comma-separated words of ``DATA_KINDS``, in the order of that list."""

SIGNS: Final = (
    "comment-tail",  # a comment swallows the rest of the statement
    "tautology",  # OR 1=1 and its kin: a comparison of two literals, or of a column with itself
    "union-appended",  # UNION SELECT after the statement's own end of condition
    "stacked",  # a second statement after a semicolon
    "time-delay",  # SLEEP, pg_sleep, BENCHMARK, WAITFOR
    "catalogue",  # information_schema, pg_catalog, sqlite_master, mysql.user …
    "encoded-string",  # hex, CHAR(…) chains, CONCAT of character codes
    "unbalanced-quote",  # a string that never ends
    "file-access",  # LOAD_FILE, INTO OUTFILE, pg_read_file, COPY … '/path'
    "program",  # COPY … PROGRAM, xp_cmdshell, sys_exec
    "error-based",  # EXTRACTVALUE, UPDATEXML, CAST of a sub-select to a number
    "version-probe",  # @@version, version(), current_user, database()
    "conditional",  # CASE WHEN (1=1) …, IF(1=1, …), ELT, IIF on constants
    "executable-comment",  # /*! … */
    "odd-spacing",  # comments or odd blanks where spaces belong, mixed-case keywords
    "cut",  # longer than what is scanned
    "request-input",  # what came in with the surrounding request stands in it beyond one literal
    "operator-for-value",  # an operator that every value meets stands for a value: {"password": {"$ne": ""}}
)
"""Injection signs of a statement before it was redacted. A closed vocabulary: no text, no offsets."""

FORM_VALUES: Final = (
    "json",  # begins as a JSON object or list, or the app's own function made a dict or a list of it
    "xml",  # begins as an XML document
    "registry",  # begins with a zero byte, as what a schema registry's serialisers write
    "object",  # the app's own function made something else of it
    "other",  # anything else
)
"""What a message's value begins as. Words are added at the end only: detectors keep forms by their places."""

FORM_PARTS: Final = (
    "key",  # has a key
    "trace",  # has the context of its producer's trace among its headers
    "headers",  # has other headers
)
"""What came with a message. Another one makes the bits that detectors keep another table's."""

INDICATOR_WORDS: Final = (
    "terminal-escape",  # an error's text steers the terminal that shows it
    "hidden-text",  # an error's text turns the direction of writing round
    "control-character",  # an error's text holds other control characters than line breaks and tabs
    "other-key",  # the response is to another key than was requested
    "xml-entities",  # an XML document defines entities out of others, or long ones, which grow when they are read
    "xml-external",  # an XML document defines an entity by a file or URL that its reader is to fetch
    "prompt-injection-in-response",  # a document gives orders to the language model that it may be handed to
    "canary",  # a response holds a canary: a word that was planted among the data
    "deep",  # a document nests deeper than any that was written by hand
)
"""Response indicators, which honest responses do not show. A closed vocabulary: no text, no offsets."""

DATA_KINDS: Final = (
    "email",  # e-mail addresses
    "phone",  # phone numbers
    "card",  # numbers of payment cards
    "iban",  # numbers of bank accounts
    "access-key",  # keys and tokens of other services, private keys
    "password",  # passwords or their hashes, by the names of columns
    "national-id",  # numbers of identity cards, social security, passports, taxpayers
    "health",  # diagnoses, prescriptions, insurance, by the names of columns
    "person",  # names, addresses, dates of birth, by the names of columns
)
"""Kinds of sensitive data. A closed vocabulary; words are added at the end only: detectors keep places as bits."""
