"""Certificates that are new for a resource."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import (
    EXPECTED,
    KNOWN_VALUES,
    MAX_VALUES,
    NEW,
    find_value,
    is_settled,
    observe,
)
from backwatch.detector.derived.numbers import NOT_BEFORE, PROVEN
from backwatch.detector.derived.text_columns import (
    ISSUED_BY,
    ISSUER_PUBLIC,
    NOT_AFTER,
    SUBJECT_DOMAIN,
    SUBJECT_OF_CLOUD,
)
from backwatch.detector.detectors import MOVED_AS_DECLARED, Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: replicas behind one name show their certificates within it."""
RENEWAL_NS: Final = 62 * 86_400 * 1_000_000_000
"""Time before its end in which a certificate is usually replaced: 60 days by the earliest of the clouds, and a margin.
For a shorter one half of its life."""
SUPERSEDED_NS: Final = 86_400 * 1_000_000_000
"""One day: a certificate last seen so long before a longer-lasting one has been renewed already."""

FRESH_NS: Final = 8 * 86_400 * 1_000_000_000
"""Age up to which a certificate counts as just issued. One that is older when it first appears was issued for something
else, unless others of the service were issued with it."""
EARLY_NS: Final = 86_400 * 1_000_000_000
"""Time by which clocks may differ."""
_HOUR_NS: Final = 3_600 * 1_000_000_000

PAPERS = np.dtype([
    ("issuer", "<u8", (MAX_VALUES,)), ("not_after_ns", "<i8", (MAX_VALUES,)), ("domain", "<u4", (MAX_VALUES,)),
    ("begins_h", "<u4", (MAX_VALUES,)),
])  # fmt: skip
"""``domain`` holds half of the hash of the subject's domain, ``begins_h`` the beginning in hours since the epoch."""


class _Papers(NamedTuple):
    """Columns of certificates."""

    certificate: Array
    issuer: Array
    not_before_ns: Array
    not_after_ns: Array
    domain: Array
    closed: Array
    proven: Array
    peer_known: Array


@kernel
def _renews(row: Any, papers: Any, this: int, issuer: int, not_after_ns: int, life_ns: int, time_ns: int) -> bool:
    """Return whether this certificate renews a known one of the same authority, in use and near its end."""
    window = min(RENEWAL_NS, life_ns // 2) if life_ns > 0 else RENEWAL_NS
    for m in range(MAX_VALUES):
        end = papers["not_after_ns"][m]
        known = row["member"][m] != 0 and row["known"][m] != 0 and papers["issuer"][m] == issuer
        if known and 0 < end < not_after_ns and time_ns >= end - window and not _is_superseded(row, papers, m, this):
            return True
    return False


@kernel
def _is_superseded(row: Any, papers: Any, of: int, this: int) -> bool:
    """Return whether a third, longer-lasting certificate of the same authority has replaced a known one."""
    for m in range(MAX_VALUES):
        other = row["member"][m] != 0 and row["member"][m] != this
        known = other and row["known"][m] != 0 and papers["issuer"][m] == papers["issuer"][of]
        longer = papers["not_after_ns"][m] > papers["not_after_ns"][of]
        if known and longer and row["last_ns"][m] - row["last_ns"][of] >= SUPERSEDED_NS:
            return True
    return False


@kernel
def _half(domain: Any) -> Any:
    return np.uint32(domain >> np.uint64(32)) | np.uint32(1)


@kernel
def _is_vouched(row: Any, kept: Any, papers: _Papers, i: int, time_ns: int) -> bool:
    """Return whether a certificate that was verified in full can only be the service's own, though it is not due.

    It was just issued, or together with a known one; for the same domain; and either by the authority of a known one,
    which gives none to others, or it is shown at a known address.
    """
    begin_ns = papers.not_before_ns[i]
    if papers.proven[i] != 1 or begin_ns <= 0 or papers.domain[i] == 0:
        return False
    fresh = -EARLY_NS <= time_ns - begin_ns <= FRESH_NS
    for m in range(MAX_VALUES):
        known = row["member"][m] != 0 and row["known"][m] != 0 and kept["domain"][m] == _half(papers.domain[i])
        if not known:
            continue
        apart_ns = abs(np.int64(kept["begins_h"][m]) * _HOUR_NS - begin_ns)
        own = papers.closed[i] != 0 and kept["issuer"][m] == papers.issuer[i]
        if own and (fresh or apart_ns <= FRESH_NS):
            return True
        if fresh and papers.peer_known[i] != 0:
            return True
    return False


@kernel
def _judge(
    papers: _Papers, time_ns: Array, resource: Array, learn: Array, expected: Array, rows: Any, kept: Any,
    out: tuple[Array, Array, Array],
) -> None:  # fmt: skip
    new, renewal, replaced = out
    for i in range(resource.shape[0]):
        k, this = resource[i], papers.certificate[i]
        if k == 0 or this == 0:
            continue
        row = rows[k]
        at, expects = find_value(row, this), expected[i]
        begin_ns, end_ns, issuer = papers.not_before_ns[i], papers.not_after_ns[i], papers.issuer[i]
        life_ns = end_ns - begin_ns if begin_ns > 0 else 0
        unknown = (at < 0 or row["known"][at] == 0) and expects == 0
        renews = unknown and issuer != 0 and _renews(row, kept[k], this, issuer, end_ns, life_ns, time_ns[i])
        early = unknown and not renews and row["pinned"] == 0 and is_settled(row, time_ns[i], SETTLES_AFTER_NS)
        if early and _is_vouched(row, kept[k], papers, i, time_ns[i]):
            expects = EXPECTED
            replaced[i] = 1
        if observe(rows, k, this, time_ns[i], SETTLES_AFTER_NS, learn[i], expects) == NEW:
            new[i] = 1
            renewal[i] = renews
        if learn[i]:
            at = find_value(row, this)
            if at >= 0:
                kept[k]["issuer"][at] = papers.issuer[i]
                kept[k]["not_after_ns"][at] = papers.not_after_ns[i]
                kept[k]["domain"][at] = _half(papers.domain[i]) if papers.domain[i] != 0 else np.uint32(0)
                kept[k]["begins_h"][at] = max(papers.not_before_ns[i], 0) // _HOUR_NS


class CertificateChanged(Detector):
    """Compares a session's certificate with those that its resource showed before."""

    id = "certificate-changed"
    derives = (
        derived_fact(
            "backwatch.certificate.new",
            "1 where the certificate is new, at a resource whose certificates are known.",
        ),
        derived_fact(
            "backwatch.certificate.renewal",
            "1 where the certificate is new, and of the same authority (the organisation of the issuer, or the "
            "issuer where it names none) as a known one that is near its end.",
        ),
        derived_fact(
            "backwatch.certificate.replaced",
            "1 where an unknown certificate was verified in full and can only be the service's own: just issued, or "
            "together with a known one, for the same domain, and by the same authority, which is no public one, or "
            "shown at a known address.",
        ),
    )
    knows = ((names.CERT_SHA256, "certificate_changed"), (names.CERT_ISSUER, "certificate_changed"))
    reads = ("backwatch.peer.known", MOVED_AS_DECLARED)
    accepts = (names.CERT_SHA256,)
    identity_changes = ("backwatch.certificate.new",)
    tables = (
        Table("certificate_changed", RESOURCE, 1, KNOWN_VALUES),
        Table("certificate_changed_papers", RESOURCE, 2, PAPERS),
    )  # fmt: skip

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new, renewal, replaced = (np.zeros(calls.count, np.int8) for _ in range(3))
        # Anyone can write an issuer's name into a certificate: it counts only where the chain was verified.
        issued = np.where(calls[PROVEN] == 1, calls.get_expected(names.CERT_ISSUER), np.int8(0))
        expected = np.maximum(calls.get_expected_identity(names.CERT_SHA256), issued)
        closed = (calls[ISSUER_PUBLIC] == 0) | (calls[SUBJECT_OF_CLOUD] != 0)
        papers = _Papers(
            calls[names.CERT_SHA256], calls[ISSUED_BY], calls[NOT_BEFORE], calls[NOT_AFTER], calls[SUBJECT_DOMAIN],
            closed, calls[PROVEN], calls["backwatch.peer.known"],
        )  # fmt: skip
        _judge(
            papers, calls["time_ns"], slot[RESOURCE.name], learn, expected, tables["certificate_changed"],
            tables["certificate_changed_papers"], (new, renewal, replaced),
        )  # fmt: skip
        return {
            "backwatch.certificate.new": new, "backwatch.certificate.renewal": renewal,
            "backwatch.certificate.replaced": replaced,
        }  # fmt: skip
