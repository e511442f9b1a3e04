"""Calls after a quiet history, and the rules that the last one fires."""

from collections.abc import Sequence
from typing import Any

from backwatch.collector import names
from tests.detector.small_engine import DAY_NS, SECOND_NS, SmallEngine, call

DAY = DAY_NS // SECOND_NS
TLS: dict[str, Any] = {
    names.TLS_ESTABLISHED: True, names.TLS_VERSION: "1.3", names.TLS_CIPHER: "TLS_AES_256_GCM_SHA384",
    names.TLS_VERIFIED: "full", names.TLS_REQUESTED: "verify-full", names.TLS_REQUESTED_EXPLICIT: True,
    names.CERT_SHA256: "aa", names.CERT_ISSUER: "CN=CA", names.CERT_NOT_AFTER: "2027-01-01T00:00:00Z",
    names.PEER_ADDRESS: "198.51.100.7",
}  # fmt: skip
PLAIN: dict[str, Any] = {names.TLS_ESTABLISHED: False, names.PEER_ADDRESS: "198.51.100.7", names.TRANSPORT: "tcp"}


def on(session: dict[str, Any], at_s: float = 0, statement: str = "SELECT ?", **facts: Any) -> dict[str, Any]:
    return {**call(at_s, statement, **facts), **session}


def history(session: dict[str, Any] = TLS, days: float = 2, count: int = 200, **facts: Any) -> list[dict[str, Any]]:
    return [on(session, i * days * DAY / count, **facts) for i in range(count)]


def first(calls: Sequence[dict[str, Any]]) -> list[set[str]]:
    return SmallEngine().step(list(calls))


def after(past: Sequence[dict[str, Any]], *now: dict[str, Any]) -> set[str]:
    """Return the rules that the last call fires after a quiet history."""
    engine = SmallEngine()
    quiet = engine.step(list(past))
    assert all(not one for one in quiet), quiet
    return engine.step(list(now))[-1]
