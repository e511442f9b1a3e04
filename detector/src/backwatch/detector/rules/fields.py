"""The fields a rule may name, and where each one's value lives.

A field belongs to a *domain*: a dictionary of distinct entries over which its predicates are answered once per entry
(``session``, ``statement``, ``resource``, ``content``), or ``number``, which is compared call by call. Whatever a
detector provides is a number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from backwatch.collector import names
from backwatch.detector.derived.numbers import FLAGS, NUMBERS
from backwatch.detector.derived.text_columns import PEER_LOCAL
from backwatch.detector.detectors import Detector

Domain = Literal["session", "statement", "resource", "content", "number"]
Kind = Literal["text", "words", "number", "flag"]

DOMAINS: Final[tuple[Domain, ...]] = ("session", "statement", "resource", "content")
"""The dictionary domains, in the order in which a row's entries are handed to the rules."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field lives and what it holds.

    Attributes:
        kind: ``words`` is a comma-separated list, of which any one may match.
        learnt: A detector provides it; else the collector told it.
    """

    domain: Domain
    kind: Kind
    learnt: bool = False


def _all(domain: Domain, kind: Kind, *found: str) -> dict[str, Field]:
    return dict.fromkeys(found, Field(domain, kind))


TOLD: Final[Mapping[str, Field]] = {
    **_all(
        "session", "text",
        names.TLS_VERSION, names.TLS_CIPHER, names.CERT_SHA256, names.CERT_ISSUER, names.CERT_SUBJECT,
        names.TLS_REQUESTED, names.TLS_VERIFIED, names.PEER_ADDRESS, names.TRANSPORT, names.ACCOUNT,
        names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.SERVICE_RELEASE,
    ),
    **_all(
        "session", "flag",
        names.TLS_ESTABLISHED, names.TLS_REQUESTED_EXPLICIT, names.STARTTLS_OFFERED, names.ACCOUNT_SUPERUSER,
    ),
    **_all("session", "number", names.PEER_PORT),
    **_all("statement", "text", names.QUERY_TEXT, names.OPERATION, names.STATEMENT),
    **_all(
        "resource", "text",
        names.SERVICE_NAME, names.SERVICE_NAMESPACE, names.ENVIRONMENT, names.DB_SYSTEM, names.DB_NAMESPACE,
        names.SERVER_ADDRESS, names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.RPC_SYSTEM,
        names.RESOURCE_NAME, names.SYSTEM,
    ),
    **_all("resource", "number", names.SERVER_PORT),
    **_all(
        "content", "words",
        names.QUERY_SIGNS, names.PAYLOAD_GLOBALS, names.TOPOLOGY, names.RESPONSE_INDICATORS, names.MESSAGE_FORMS,
    ),
    **_all(
        "content", "text",
        names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET, names.PAYLOAD_FORMAT, names.LOCAL_INFILE_FILE,
        names.HTTP_METHOD,
    ),
    **_all("content", "flag", names.LOCAL_INFILE, names.URL_SECRET),
    **_all("content", "number", names.HTTP_STATUS),
    **_all(
        "number", "number",
        names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED, names.ROWS_AFFECTED, "duration_ns",
        names.NOTICES, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE, names.REDELIVERED, *NUMBERS,
    ),
    **_all("number", "flag", names.BYTES_ESTIMATED, "error", "late", PEER_LOCAL, *FLAGS),
}  # fmt: skip
"""Fields that the collector tells, call by call."""

WINDOW: Final = (
    "calls", "errors", "suspects", "bytes_sent", "bytes_received", "rows_returned", "rows_affected", "duration_ns",
    "new_statements",
)  # fmt: skip
"""A window's own sums, which a rule over windows can read beside what detectors compute of it."""
LOSS_KIND: Final = "backwatch.loss.kind"
LOSS_COUNT: Final = "backwatch.loss.count"
WATCH_LOST: Final = "backwatch.watch.lost"
WATCH_SILENT: Final = "backwatch.watch.silent_s"
PROCESS_HEARD: Final = "backwatch.process.heard_ns"
PROCESS: Final[Mapping[str, Field]] = {
    **_all("content", "text", WATCH_LOST, names.SERVICE_NAME, names.HOST_NAME, names.PROCESS_INSTANCE),
    **_all(
        "number", "number",
        WATCH_SILENT, PROCESS_HEARD, names.PROCESS_PID, names.PROCESS_STARTED, names.PROCESS_RECORDED,
        names.PROCESS_DELIVERED, names.PROCESS_DROPPED,
    ),
}  # fmt: skip
"""What a rule over processes can read of one that is missed."""


def _numbers(found: Iterable[str]) -> dict[str, Field]:
    return {name: Field("number", "number", learnt=True) for name in found}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields there are, by what a rule is over.

    Attributes:
        by_over: ``call``, ``window``, ``loss`` or ``process`` to that kind of rule's fields.
    """

    by_over: Mapping[str, Mapping[str, Field]] = field(default_factory=dict[str, Mapping[str, Field]])

    @classmethod
    def of(cls, detectors: Iterable[type[Detector]]) -> "Vocabulary":
        """What the collector tells and what these detectors provide."""
        found = list(detectors)
        return cls({
            "call": {**TOLD, **_numbers(name for one in found for name in one.provides)},
            "window": _numbers((*WINDOW, *(name for one in found for name in one.window_provides))),
            "loss": {LOSS_KIND: Field("content", "text"), LOSS_COUNT: Field("number", "number")},
            "process": PROCESS,
        })  # fmt: skip
