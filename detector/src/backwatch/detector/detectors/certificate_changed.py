"""Certificates that are new for a resource."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import KNOWN_VALUES, MAX_VALUES, NEW, find_value, observe
from backwatch.detector.derived.numbers import NOT_BEFORE, PROVEN
from backwatch.detector.derived.text_columns import ISSUED_BY, NOT_AFTER
from backwatch.detector.detectors import Array, Calls, Detector
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

PAPERS = np.dtype([("issuer", "<u8", (MAX_VALUES,)), ("not_after_ns", "<i8", (MAX_VALUES,))])


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
def _judge(
    certificate: Array, issuer: Array, validity_ns: tuple[Array, Array], time_ns: Array, resource: Array, learn: Array,
    expected: Array, rows: Any, papers: Any, out: tuple[Array, Array],
) -> None:  # fmt: skip
    not_before_ns, not_after_ns = validity_ns
    new, renewal = out
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0 or certificate[i] == 0:
            continue
        if observe(rows, k, certificate[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected[i]) == NEW:
            new[i] = 1
            life_ns = not_after_ns[i] - not_before_ns[i] if not_before_ns[i] > 0 else 0
            row, paper = rows[k], papers[k]
            if issuer[i] != 0 and _renews(row, paper, certificate[i], issuer[i], not_after_ns[i], life_ns, time_ns[i]):
                renewal[i] = 1
        if learn[i]:
            at = find_value(rows[k], certificate[i])
            if at >= 0:
                papers[k]["issuer"][at] = issuer[i]
                papers[k]["not_after_ns"][at] = not_after_ns[i]


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
    )
    knows = ((names.CERT_SHA256, "certificate_changed"), (names.CERT_ISSUER, "certificate_changed"))
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
        new, renewal = np.zeros(calls.count, np.int8), np.zeros(calls.count, np.int8)
        # Anyone can write an issuer's name into a certificate: it counts only where the chain was verified.
        issued = np.where(calls[PROVEN] == 1, calls.get_expected(names.CERT_ISSUER), np.int8(0))
        expected = np.maximum(calls.get_expected(names.CERT_SHA256), issued)
        _judge(
            calls[names.CERT_SHA256], calls[ISSUED_BY], (calls[NOT_BEFORE], calls[NOT_AFTER]), calls["time_ns"],
            slot[RESOURCE.name], learn, expected, tables["certificate_changed"], tables["certificate_changed_papers"],
            (new, renewal),
        )  # fmt: skip
        return {"backwatch.certificate.new": new, "backwatch.certificate.renewal": renewal}
