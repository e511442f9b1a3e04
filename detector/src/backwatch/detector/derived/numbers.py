"""Numbers for rules without code: parsed from texts, or computed from other columns and the call's event time.

Parsed numbers are cached by the text's keyed hash (``cached_number.py``).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact, Type
from backwatch.collector.payload.message_forms import FORMS
from backwatch.detector.derived import faults
from backwatch.detector.derived.cached_number import FACTORS, CachedNumber
from backwatch.detector.derived.text_columns import instant_ns
from backwatch.detector.kernels.bounded_cache import BoundedCache

NOT_BEFORE: Final = "tls.server.not_before.ns"
"""``tls.server.not_before`` in nanoseconds since the epoch, UTC; -1: absent or invalid."""
NODES: Final = "backwatch.topology.nodes"
"""The nodes of ``backwatch.topology`` in their order: per call one uint64 array of keyed hashes; ``None``:
absent."""
VERSION_NUMBER: Final = "backwatch.server.version.number"
"""``backwatch.server.version`` as a number that orders as versions do: 8.0.17 is 8000017; -1: absent or none."""
AUTH_STRENGTH: Final = "backwatch.auth.strength"
"""How well ``backwatch.auth.method`` keeps the secret: 0 none, 1 clear, 2 weak hash, 3 SCRAM-SHA-1, 4 better, 5 a
password in a way that the driver does not report; -1: absent or unknown."""
PROVEN: Final = "backwatch.tls.proven"
"""1 where a session is encrypted and its certificate was verified in full: the server is the
requested one."""
LOGIN_FAILED: Final = "backwatch.login.failed"
"""1 where the call failed because the service refused the login."""
SERVICE_FAULT: Final = "backwatch.service.fault"
"""1 where the call failed by the service or on the way to it: refused, reset, timed out."""
SERVICE_PAUSED: Final = "backwatch.service.paused"
"""1 where the service itself reports that it cannot serve now: it starts, stops, hands over, or is overloaded."""
STATEMENT_REFUSED: Final = "backwatch.statement.refused"
"""1 where the database refused the statement as no valid one: broken syntax, or a name that does not exist."""
NAME_UNRESOLVED: Final = "backwatch.statement.unresolved"
"""1 where it refused the statement only because of a column or a table that does not exist."""
MESSAGE_FORMS: Final = "backwatch.message.forms.bits"
"""``backwatch.message.forms`` as bits, one for each form; 0: absent."""
DATA_KINDS: Final = "backwatch.data.bits"
"""Kinds of sensitive data that the call receives or sends, as bits in the order of ``names.DATA_KINDS``; 0: none."""
RATIO: Final = "backwatch.payload.ratio"
"""Bytes of a decompressed body for each byte on the wire; NaN: absent."""
DAYS_LEFT: Final = "backwatch.certificate.days_left"
"""Days until the certificate ends, at the call's event time; below 0: it has ended; NaN: absent."""
AGE_DAYS: Final = "backwatch.certificate.age_days"
"""Days since the certificate became valid, at the call's event time; below 0: not valid yet; NaN: absent."""
LIFE_DAYS: Final = "backwatch.certificate.life_days"
"""Days from the certificate's start to its end; NaN: absent."""


def _fact(name: str, type_: Type, kind: str, label: str, meaning: str, unit: str = "") -> Fact:
    return Fact(
        name=name, type=type_, scope="derived", kind=kind, domain="number", label=label, meaning=meaning, unit=unit
    )


FACTS: Final = (
    _fact(
        VERSION_NUMBER, "number", "version", "Server version number",
        "The version as a number that orders as versions do: 8.0.17 is 8000017.",
    ),
    _fact(
        AUTH_STRENGTH, "number", "login", "Login strength",
        "How well the login keeps the secret: 0 none, 1 the password itself, 2 a weak hash, 3 SCRAM-SHA-1, 4 better.",
    ),
    _fact(
        RATIO, "number", "content", "Compression ratio", "Bytes of a compressed body for each byte on the wire.",
        "bytes per byte",
    ),
    _fact(
        DAYS_LEFT, "number", "certificate", "Certificate days left",
        "Days until the certificate ends; below 0: it has ended.", "days",
    ),
    _fact(
        AGE_DAYS, "number", "certificate", "Certificate age",
        "Days since the certificate became valid; below 0: not yet.", "days",
    ),
    _fact(
        LIFE_DAYS, "number", "certificate", "Certificate lifetime", "Days from the certificate's start to its end.",
        "days",
    ),
    _fact(
        PROVEN, "flag", "verified", "Server proven",
        "The session is encrypted, and the server is verified in full (chain and name).",
    ),
    _fact(LOGIN_FAILED, "flag", "login", "Login failed", "The service refused the login."),
    _fact(
        STATEMENT_REFUSED, "flag", "errors", "Statement refused",
        "The database refused the statement as no valid one: broken syntax, or a name that does not exist.",
    ),
    _fact(SERVICE_FAULT, "flag", "errors", "Service fault", "The call failed by the service or on the way to it."),
)  # fmt: skip
"""The columns of this module that rules may read."""

MAX_NODES: Final = 256
MAX_FORMS: Final = 64
MAX_TOPOLOGIES: Final = 1_000
_DATA: Final = {kind: 1 << at for at, kind in enumerate(names.DATA_KINDS)}
_FORMS: Final = {form: 1 << at for at, form in enumerate(FORMS)}
_DAY_NS: Final = 86_400 * 10**9
_VERSION: Final = re.compile(r"(\d{1,4})(?:\.(\d{1,3})(?!\d))?(?:\.(\d{1,3})(?!\d))?")
_STRENGTHS: Final = (
    (re.compile(r"none|anonymous|trust|preauth"), 0),
    (re.compile(r"clear-password|(?:amq)?plain|login|basic|simple|password|bearer|token|xoauth2?|oauthbearer|api.?key"),
     1),
    (re.compile(r".*md5|mysql_(?:native|old)_password|apop|ntlm|rabbit-cr-demo|digest|mongodb-cr"), 2),
    (re.compile(r"scram-sha-1(?:-plus)?"), 3),
    (re.compile(
        r"scram-.+|caching_sha2_password|sha256_password|client_ed25519|parsec|gss.*|kerberos|sspi|negotiate|x509|"
        r"authentication_(?:kerberos|webauthn|fido|ldap_sasl)\w*|mongodb-(?:x509|aws)|certificate|external|nkey|jwt|aws.*"
    ), 4),
    (re.compile(r"used-password"), 5),
)  # fmt: skip


def version_number(text: str) -> int:
    """Return the first version in a text, as a number; -1 where there is none.

    MariaDB puts a version of MySQL before its own, for old replicas.

    >>> version_number("8.0.17-log"), version_number("PostgreSQL 15.10 (Debian)"), version_number("unknown")
    (8000017, 15010000, -1)
    >>> version_number("5.5.5-10.11.6-MariaDB-log")
    10011006
    """
    found = _VERSION.search(text[:200].removeprefix("5.5.5-"))
    if found is None:
        return -1
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major * 1_000_000 + minor * 1_000 + patch


def auth_strength(method: str) -> int:
    """Return how well a login method protects the secret from server and listeners; -1 where it is unknown.

    >>> auth_strength("none"), auth_strength("clear-password"), auth_strength("md5"), auth_strength("SCRAM-SHA-256")
    (0, 1, 2, 4)
    >>> auth_strength("a custom plugin")
    -1
    """
    word = method[:80].lower()
    return next((strength for pattern, strength in _STRENGTHS if pattern.fullmatch(word)), -1)


def nodes_of(topology: str) -> list[str]:
    """Return the nodes of ``backwatch.topology`` in order; empty where the list was cut or names none.

    >>> nodes_of("A.internal:27017, b.internal:27017,…")
    ['a.internal:27017', 'b.internal:27017', '']
    """
    nodes = [node.strip() for node in topology.lower().split(",")[:MAX_NODES]]
    return ["" if node == "…" else node for node in nodes]


def message_forms(text: str) -> int:
    """Return the forms in ``backwatch.message.forms`` as bits; unknown words have none.

    >>> message_forms("json"), message_forms("json,json+key"), message_forms("json+wings"), message_forms("")
    (1, 3, 0, 0)
    """
    return sum(_FORMS.get(word, 0) for word in dict.fromkeys(text.split(",", MAX_FORMS)))


def data_kinds(text: str) -> int:
    """Return the kinds in ``backwatch.data.sent`` or ``.received`` as bits; unknown words have none.

    >>> data_kinds("email,card"), data_kinds("weather"), data_kinds("")
    (5, 0, 0)
    """
    return sum(_DATA.get(word, 0) for word in dict.fromkeys(text.split(",", MAX_FORMS)))


class NumberColumns:
    """Computes the columns of this module, batch by batch.

    Args:
        hash_text: The installation's keyed hash.
    """

    def __init__(self, hash_text: Callable[[bytes], int]) -> None:
        self._hash = hash_text
        self._version, self._strength, self._begin = CachedNumber(), CachedNumber(), CachedNumber()
        self._verified, self._fault, self._forms = CachedNumber(), CachedNumber(), CachedNumber()
        self._refusal, self._sent, self._received = CachedNumber(), CachedNumber(), CachedNumber()
        self._nodes = BoundedCache[int, NDArray[np.uint64]](MAX_TOPOLOGIES)

    def columns(self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]) -> dict[str, NDArray[Any]]:
        """Compute the columns that do not depend on time.

        Args:
            columns: Keyed hashes of texts, and numbers, by contract name.
            text: Returns a fact's text by its name and a row.
        """

        def read(
            reading: CachedNumber, name: str, number_of: Callable[[str], int], absent: int = -1
        ) -> NDArray[np.int64]:
            return reading.of(columns[name], lambda row: number_of(text(name, row)), absent)

        wire, size = columns[names.PAYLOAD_WIRE], columns[names.PAYLOAD_SIZE]
        verified = read(self._verified, names.TLS_VERIFIED, lambda value: int(value.lower() == "full"))
        fault = self._faults(columns, text)
        refusals = self._refused(columns, text)
        return {
            VERSION_NUMBER: read(self._version, names.SERVER_VERSION, version_number),
            AUTH_STRENGTH: read(self._strength, names.AUTH_METHOD, auth_strength),
            PROVEN: ((columns[names.TLS_ESTABLISHED] == 1) & (verified == 1)).astype(np.int8),
            NOT_BEFORE: read(self._begin, names.CERT_NOT_BEFORE, instant_ns),
            MESSAGE_FORMS: read(self._forms, names.MESSAGE_FORMS, message_forms, absent=0),
            DATA_KINDS: read(self._sent, names.DATA_SENT, data_kinds, absent=0)
            | read(self._received, names.DATA_RECEIVED, data_kinds, absent=0),
            NODES: self._nodes_columns(columns[names.TOPOLOGY], text),
            LOGIN_FAILED: (fault == faults.LOGIN).astype(np.int8),
            SERVICE_FAULT: ((fault == faults.SERVICE) | (fault == faults.UNAVAILABLE)).astype(np.int8),
            SERVICE_PAUSED: (fault == faults.UNAVAILABLE).astype(np.int8),
            STATEMENT_REFUSED: refusals & 1,
            NAME_UNRESOLVED: refusals >> 1,
            RATIO: np.where((wire >= 0) & (size >= 0), size / np.maximum(wire, 1), np.nan),
        }

    def _faults(self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]) -> NDArray[np.int64]:
        name, code, status = columns[names.ERROR_TYPE], columns[names.STATUS_CODE], columns[names.HTTP_STATUS]
        key = np.zeros(name.shape[0], np.uint64)
        failed = np.flatnonzero((name != 0) | (status >= 400))
        if not failed.shape[0]:
            return key.astype(np.int64)
        mixed = (name[failed] * FACTORS[0]) ^ (code[failed] * FACTORS[1]) ^ status[failed].astype(np.uint64)
        for system in names.SYSTEMS:
            mixed = mixed * FACTORS[2] ^ columns[system][failed]
        key[failed] = mixed | np.uint64(1)

        def fault(row: int) -> int:
            system = next((found for name in names.SYSTEMS if (found := text(name, row))), "")
            return faults.fault_of(
                system, text(names.STATUS_CODE, row), text(names.ERROR_TYPE, row), int(status[row])
            )  # fmt: skip

        return self._fault.of(key, fault, faults.UNKNOWN)

    def _refused(self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]) -> NDArray[np.int8]:
        name, code = columns[names.ERROR_TYPE], columns[names.STATUS_CODE]
        key = np.zeros(name.shape[0], np.uint64)
        failed = np.flatnonzero(name)
        if not failed.shape[0]:
            return key.astype(np.int8)
        key[failed] = (name[failed] * FACTORS[0]) ^ (code[failed] * FACTORS[1]) ^ columns[names.DB_SYSTEM][failed]

        def refusal(row: int) -> int:
            facts = [text(fact, row) for fact in (names.DB_SYSTEM, names.STATUS_CODE, names.ERROR_TYPE)]
            return faults.is_statement_refused(*facts) + 2 * faults.is_name_unresolved(*facts)

        return self._refusal.of(key, refusal, 0).astype(np.int8)

    def _nodes_columns(self, hashes: NDArray[np.uint64], text: Callable[[str, int], str]) -> NDArray[Any]:
        out = np.empty(hashes.shape[0], object)

        def nodes(row: int) -> NDArray[np.uint64]:
            listed = nodes_of(text(names.TOPOLOGY, row))
            return np.array([self._hash(node.encode()) if node else 0 for node in listed], np.uint64)

        for row in np.flatnonzero(hashes).tolist():
            out[row] = self._nodes.get(int(hashes[row]), lambda row=row: nodes(row))
        return out


def certificate_days(
    time_ns: NDArray[np.int64], not_before_ns: NDArray[np.int64], not_after_ns: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Compute the columns of a certificate's age, in days, at the event time.

    Args:
        time_ns: Event times.
        not_before_ns, not_after_ns: -1: absent.
    """
    begins, ends = not_before_ns >= 0, not_after_ns >= 0
    return {
        DAYS_LEFT: np.where(ends, (not_after_ns - time_ns) / _DAY_NS, np.nan),
        AGE_DAYS: np.where(begins, (time_ns - not_before_ns) / _DAY_NS, np.nan),
        LIFE_DAYS: np.where(begins & ends, (not_after_ns - not_before_ns) / _DAY_NS, np.nan),
    }
