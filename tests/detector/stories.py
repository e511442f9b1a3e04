"""Short call sequences for detectors: a quiet past, then an event, in any batching."""

from collections.abc import Sequence
from typing import Any

from backwatch.collector import names
from tests.detector.small_engine import DAY_NS, SECOND_NS, SmallEngine, call

DAY = DAY_NS // SECOND_NS
SAFE: dict[str, Any] = {
    names.TLS_ESTABLISHED: True, names.TLS_VERSION: "1.3", names.TLS_CIPHER: "TLS_AES_256_GCM_SHA384",
    names.TLS_VERIFIED: "chain", names.TLS_REQUESTED: "verify-ca", names.TLS_REQUESTED_EXPLICIT: True,
    names.CERT_SHA256: "aa", names.CERT_ISSUER: "CN=CA", names.CERT_NOT_BEFORE: "2026-03-01T00:00:00Z",
    names.CERT_NOT_AFTER: "2027-03-01T00:00:00Z", names.PEER_ADDRESS: "198.51.100.7", names.TRANSPORT: "tcp",
}  # fmt: skip
CallFacts = dict[str, Any]


def at(
    at_s: float, session: CallFacts = SAFE, statement: str = "SELECT ?", site: str = "views.py:show", **facts: Any
) -> CallFacts:
    """Return a call. Further facts use the contract name with ``__`` for a dot."""
    return {
        **call(at_s, statement, site),
        **session,
        **{name.replace("__", "."): value for name, value in facts.items()},
    }


def past(session: CallFacts = SAFE, count: int = 200, days: float = 2, **facts: Any) -> list[CallFacts]:
    """Return quiet calls of one kind over some days."""
    return [at(i * days * DAY / count, session, **facts) for i in range(count)]


def list_fired(*stories: Sequence[CallFacts]) -> list[set[str]]:
    """Return the rules that each call of the last story fires.

    Evaluates the story in one batch and call by call, which must agree.
    """
    whole, single = SmallEngine(), SmallEngine()
    found: list[set[str]] = []
    for story in stories:
        found = whole.step(list(story))
        assert found == [one for each in story for one in single.step([each])]
    return found
