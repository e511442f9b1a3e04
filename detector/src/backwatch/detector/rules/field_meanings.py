"""What each field means that a rule may read: told ones stand in a table here, others in their detector's docstring."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from backwatch.collector import names
from backwatch.detector.derived.text_columns import PEER_LOCAL
from backwatch.detector.detectors import Detector
from backwatch.detector.rules.fields import LOSS_COUNT, LOSS_KIND, PROCESS_HEARD, WATCH_LOST, WATCH_SILENT, Vocabulary

TOLD: Final[Mapping[str, str]] = {
    names.TLS_VERSION: "TLS version of the session: 1.2, 1.3.",
    names.TLS_CIPHER: "Cipher of the session.",
    names.CERT_SHA256: "SHA-256 of the server's certificate, hexadecimal.",
    names.CERT_ISSUER: "Who issued the server's certificate.",
    names.CERT_SUBJECT: "Whom the server's certificate names.",
    names.TLS_REQUESTED: "What was asked for: disable, prefer, require, verify-ca, verify-full.",
    names.TLS_REQUESTED_EXPLICIT: "The app itself asked for it; false: its driver's default.",
    names.TLS_VERIFIED: "What was verified of the server: none, chain, full (chain and name).",
    names.TLS_ESTABLISHED: "The session is encrypted; absent: not known.",
    names.STARTTLS_OFFERED: "The server offered STARTTLS on its plaintext connection.",
    names.PEER_ADDRESS: "Numeric address of the other end.",
    names.PEER_PORT: "Port of the other end.",
    names.TRANSPORT: "tcp, unix, pipe, or inproc for a library that opens files.",
    PEER_LOCAL: "The session stays on the machine (a unix socket, in the process, loopback unless that is judged).",
    names.ACCOUNT: "Account of the session, never its secret.",
    names.ACCOUNT_SUPERUSER: "The server says that the account may do everything (PostgreSQL's is_superuser).",
    names.AUTH_METHOD: "How it logged in: scram-sha-256, clear-password, none.",
    names.SERVER_VERSION: "Version that the server announced.",
    names.SERVER_ID: "Identity that the server announced.",
    names.QUERY_TEXT: "Canonical text of a query; literals are ?.",
    names.OPERATION: "Operation: SELECT, CONFIG SET, find, PutObject.",
    names.STATEMENT: "Canonical text of a call that is not SQL: command, method and path template, mail domains.",
    names.QUERY_SIGNS: "What the raw statement showed before it was redacted: words of a fixed list.",
    names.SERVICE_NAME: "The app's name.",
    names.SERVICE_NAMESPACE: "The app's namespace.",
    names.ENVIRONMENT: "The app's environment: production, staging.",
    names.SERVICE_RELEASE: "The app's release.",
    names.DB_SYSTEM: "Kind of database: postgresql, redis.",
    names.DB_NAMESPACE: "Database, schema or number of it.",
    names.SERVER_ADDRESS: "Host, address or socket that the app asked for.",
    names.SERVER_PORT: "Port that the app asked for.",
    names.MESSAGING_SYSTEM: "Kind of broker: kafka, rabbitmq.",
    names.MESSAGING_DESTINATION: "Queue, topic or exchange.",
    names.RPC_SYSTEM: "Kind of RPC: grpc, aws-api.",
    names.RESOURCE_NAME: "A name for the resource, in place of system, endpoint, namespace; no probe tells it today.",
    names.SYSTEM: "Kind of service where no convention names one: http, smtp.",
    names.ERROR_TYPE: "Class of the error that the call raised.",
    names.STATUS_CODE: "The server's own code: 42601, 1064, NOAUTH.",
    names.HTTP_METHOD: "Method of the request.",
    names.HTTP_STATUS: "Status of the answer.",
    names.URL_SECRET: "The query of the request's URL holds a key, a token or a password.",
    names.REDIRECT_TARGET: "Where the answer sends the app: host:port or URL, without secrets.",
    names.PAYLOAD_FORMAT: "Format that was recognised in the answer: pickle, yaml.",
    names.PAYLOAD_GLOBALS: "What a pickle in the answer would import: module.name, several by commas.",
    names.LOCAL_INFILE: "A MySQL server asked the client for a file.",
    names.LOCAL_INFILE_FILE: "The file that a MySQL server asked the client for.",
    names.TOPOLOGY: "Nodes that the service told the client to talk to: host:port, several by commas.",
    names.NOTICES: "Notices, warnings or pushed messages that came with the answer, unasked for.",
    names.PAYLOAD_WIRE: "Bytes of a compressed body as they came over the wire.",
    names.PAYLOAD_SIZE: "Bytes of a compressed body once unpacked.",
    names.REDELIVERED: "How often the message has come before, as far as broker or client count.",
    names.MESSAGE_FORMS: "Forms of the messages that a topic brought, several by commas: json+key+trace, other.",
    names.RESPONSE_INDICATORS: "What the answer showed that honest ones do not: words of a fixed list.",
    names.BYTES_SENT: "Bytes sent by the call.",
    names.BYTES_RECEIVED: "Bytes received by the call.",
    names.BYTES_ESTIMATED: "The bytes are an estimate.",
    names.ROWS_RETURNED: "Rows, documents or messages that came back.",
    names.ROWS_AFFECTED: "Rows changed; for mail, recipients.",
    "duration_ns": "How long the call took, in nanoseconds; of a minute: its calls together.",
    "error": "The call failed.",
    "late": "The call came after its minute was closed.",
    "calls": "Calls in the minute.",
    "errors": "Calls in the minute that failed.",
    "suspects": "Calls in the minute on which a rule fired that marks suspects.",
    "bytes_sent": "Bytes sent in the minute.",
    "bytes_received": "Bytes received in the minute.",
    "rows_returned": "Rows that came back in the minute.",
    "rows_affected": "Rows changed in the minute.",
    "new_statements": "Statements in the minute that were never seen before.",
    "backwatch.auth.strength": (
        "How well the login keeps the secret: 0 none, 1 the password itself, 2 a weak hash, 3 SCRAM-SHA-1, 4 better."
    ),
    "backwatch.certificate.age_days": "Days since the certificate became valid; below 0: not yet.",
    "backwatch.certificate.days_left": "Days until the certificate ends; below 0: it has ended.",
    "backwatch.certificate.life_days": "Days from the certificate's start to its end.",
    "backwatch.login.failed": "The service refused the login.",
    "backwatch.payload.ratio": "Bytes that a compressed body became for each that crossed the wire.",
    "backwatch.server.version.number": "The version as a number that orders as versions do: 8.0.17 is 8000017.",
    "backwatch.service.fault": "The call failed by the service or on the way to it.",
    "backwatch.tls.proven": "Encrypted and verified in full: whoever answers is who was asked for.",
    LOSS_KIND: "What was lost: dropped.queue, gap, quarantine, overflow.site, late …",
    LOSS_COUNT: "How many were lost: records, calls, findings, deliveries, as the kind says.",
    WATCH_LOST: (
        "What is missed: silent, undelivered (a process), app-quiet, app-ended (a whole app); or why it is not: "
        "replaced, gone, brief."
    ),
    WATCH_SILENT: "Seconds since the last heartbeat.",
    PROCESS_HEARD: "When the last heartbeat came, in nanoseconds since the epoch.",
    names.HOST_NAME: "The host on which the process runs.",
    names.PROCESS_PID: "The process's id on its host.",
    names.PROCESS_INSTANCE: "Random digits of the process: ids come again.",
    names.PROCESS_STARTED: "When the process's collector began, by its own clock, in nanoseconds since the epoch.",
    names.PROCESS_RECORDED: "Calls that the process recorded.",
    names.PROCESS_DELIVERED: "Calls that it delivered to the stream.",
    names.PROCESS_DROPPED: "Records that it dropped.",
}
"""Meanings of what the collector tells, and of a window's sums and a loss."""

_NAMES: Final = re.compile(r"(?:^|(?<=[.;\n]) *)((?:``[\w.<>]+``(?:, )?)+):\s", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A field as ``backwatch rules fields`` tells it.

    Attributes:
        over: What rules that read it are over: call, window, due, loss, process.
        kind: text, words, number or flag.
        detector: Which one provides it; empty: it is told.
    """

    field: str
    over: str
    kind: str
    detector: str
    meaning: str


def provided(kind: type[Detector]) -> dict[str, str]:
    """Pattern of a field's name to its meaning, as the detector's docstring says it under ``Provides``."""
    _, _, told = (inspect.getdoc(kind) or "").partition("Provides:\n")
    told = inspect.cleandoc(told)
    found: dict[str, str] = {}
    parts = _NAMES.split(told)
    for listed, text in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"``([\w.<>]+)``", listed):
            found[re.sub(r"<\w+>", "[a-z_]+", name)] = " ".join(text.split()).replace("``", "")
    return found


def meanings(kinds: Iterable[type[Detector]]) -> Iterator[Meaning]:
    """Every field there is, by what rules over it are over, then by name."""
    found = list(kinds)
    by_detector = {kind.id: provided(kind) for kind in found}
    owner = {name: kind.id for kind in found for name in (*kind.provides, *kind.window_provides)}
    for over, known in Vocabulary.of(found).by_over.items():
        for name, field in sorted(known.items()):
            detector = owner.get(name, "")
            told = by_detector.get(detector, {})
            meaning = next((text for pattern, text in told.items() if re.fullmatch(pattern, name)), "")
            yield Meaning(
                field=name, over=over, kind=field.kind, detector=detector, meaning=meaning or TOLD.get(name, ""),
            )  # fmt: skip
