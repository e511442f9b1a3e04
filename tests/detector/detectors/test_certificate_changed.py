"""Certificates that are replaced early by their owner, and those that look so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.small_engine import START_NS
from tests.detector.stories import DAY, SAFE, at, list_fired, past

ACME = "CN=R12,O=Let's Encrypt,C=US"
OTHER_ACME = "CN=WR1,O=Google Trust Services,C=US"
OWN = "CN=Shop CA 1,O=Shop GmbH"


def shown(
    sha256: str, from_day: float, issuer: str = OWN, subject: str = "CN=db-1.shop.internal", **facts: Any
) -> dict[str, Any]:
    """Return a session with a certificate of a year that was issued on this day."""
    begin = datetime.fromtimestamp(START_NS / 1e9, UTC) + timedelta(days=from_day)
    return {
        **SAFE, names.TLS_VERIFIED: "full", names.CERT_SHA256: sha256, names.CERT_ISSUER: issuer,
        names.CERT_SUBJECT: subject, names.CERT_NOT_BEFORE: begin.isoformat(),
        names.CERT_NOT_AFTER: (begin + timedelta(days=365)).isoformat(),
        **{name.replace("__", "."): value for name, value in facts.items()},
    }  # fmt: skip


ELSEWHERE = {"network__peer__address": "203.0.113.9"}
REPLACED: list[set[str]] = [{"certificate-replaced"}]
CHANGED: list[set[str]] = [{"certificate-changed"}]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (shown("aa", -20), shown("bb", 3), REPLACED),
        (shown("aa", -20), shown("bb", 3, subject="CN=db-2.shop.internal", **ELSEWHERE), REPLACED),
        (shown("aa", -20), shown("bb", -18, **ELSEWHERE), REPLACED),
        (shown("aa", -90), shown("bb", -40), CHANGED),
        (shown("aa", -20), shown("bb", 3, subject="CN=mail.other.internal"), CHANGED),
        (shown("aa", -20), shown("bb", 3, backwatch__tls__verified="chain"), CHANGED),
        (shown("aa", -20), shown("bb", 3, issuer="CN=Mallory,O=Mallory", **ELSEWHERE), CHANGED),
        (shown("aa", -20, ACME), shown("bb", 3, OTHER_ACME), REPLACED),
        (shown("aa", -20, ACME), shown("bb", 3, ACME, **ELSEWHERE), CHANGED),
        (shown("aa", -20, ACME), shown("bb", -18, OTHER_ACME), CHANGED),
    ],
    ids=[
        "early", "node replaced", "node of the same day", "issued long ago", "another domain", "not verified in full",
        "another authority elsewhere", "another public authority here", "the next tenant of a name", "issued elsewhere",
    ],
)  # fmt: skip
def test_early_replacement_is_no_foreign_certificate(
    before: dict[str, Any], after: dict[str, Any], expected: list[set[str]]
) -> None:
    assert list_fired(past(before), [at(3 * DAY, after)]) == expected


def test_replaced_certificate_is_known_from_then_on() -> None:
    assert list_fired(past(shown("aa", -20)), [at(3 * DAY, shown("bb", 3))], [at(9 * DAY, shown("bb", 3))]) == [set()]


def test_cloud_vouches_for_the_nodes_in_its_domain() -> None:
    cloud = {"issuer": "CN=Amazon RSA 2048 M02,O=Amazon,C=US", "subject": "CN=*.shop.ab12.cache.amazonaws.com"}
    assert list_fired(past(shown("aa", -20, **cloud)), [at(3 * DAY, shown("bb", 3, **cloud, **ELSEWHERE))]) == REPLACED
