"""Numbers parsed from texts, in the whole engine and for arbitrary text."""

import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.derived import faults
from backwatch.detector.derived.numbers import auth_strength, version_number
from backwatch.detector.derived.text_columns import instant_ns
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Finding
from backwatch.detector.engine.step import EngineConfig
from tests.detector import streams

ENGINE = make_engine(EngineConfig(key=b"a key of 16 byte", judge_loopback=True))
LAST_NS = streams.START_NS + 3_000 * 20 * 10**9


def find_raised(session: dict[str, Any], facts: dict[str, Any], count: int = 1) -> dict[str, Finding]:
    """Return the newest alert of each rule that these calls raise after a quiet day."""
    shard = ENGINE.new_shard()
    quiet = streams.records(list(streams.quiet(random.Random(3), 3_000)), 64)
    assert not list(ENGINE.step(shard, streams.entry(quiet)).iter_findings())
    reported = {**streams.statement("SELECT id, name FROM customers WHERE id = ?", "views.py:customer"), **facts}
    calls = [streams.Call(LAST_NS + i * 10**8, {**streams.SAFE, **session}, reported) for i in range(count)]
    found = ENGINE.step(shard, streams.entry(streams.records(calls), len(quiet)))
    assert not found.faults
    return {one.rule.name: one for one in found.iter_findings()}


@given(st.text(max_size=400))
def test_any_server_text_is_a_version_or_none(text: str) -> None:
    assert -1 <= version_number(text) < 10**10


@given(st.text(max_size=200), st.text(max_size=60), st.text(max_size=300), st.integers(-1, 999))
def test_any_error_name_has_a_fault_class_or_is_unknown(system: str, code: str, name: str, status: int) -> None:
    assert faults.fault_of(system, code, name, status) in (faults.UNKNOWN, faults.OWN, faults.SERVICE, faults.LOGIN)


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("none", "clear-password"), ("clear-password", "md5"), ("mysql_old_password", "mysql_native_password"),
        ("md5", "scram-sha-256"), ("mysql_native_password", "caching_sha2_password"), ("ntlm", "kerberos"),
        ("scram-sha-1", "scram-sha-256-plus"), ("preauth", "clear-password"),
    ],
)  # fmt: skip
def test_login_methods_are_ordered_by_exposure(weaker: str, stronger: str) -> None:
    assert 0 <= auth_strength(weaker) <= auth_strength(stronger)


@given(st.text(max_size=200))
def test_unknown_method_is_neither_weak_nor_strong(method: str) -> None:
    assert auth_strength(method) in (-1, 0, 1, 2, 3, 4)
    assert auth_strength("x" + method + "x") == -1


def test_versions_order_numerically() -> None:
    reported = ["5.7.44-log", "8.0.9", "8.0.17", "10.11.6-MariaDB", "PostgreSQL 15.10 (Debian)"]
    assert [version_number(one) for one in reported] == sorted(version_number(one) for one in reported)


@pytest.mark.parametrize(
    ("rule", "session"),
    [
        ("certificate-expired", {names.CERT_NOT_AFTER: "2026-09-01T00:00:00Z", names.TLS_VERIFIED: "chain"}),
        ("certificate-expiring", {names.CERT_NOT_AFTER: "2026-09-30T00:00:00Z"}),
        ("certificate-not-yet-valid", {names.CERT_NOT_BEFORE: "2026-11-01T00:00:00Z"}),
        ("certificate-long-lived", {names.CERT_NOT_AFTER: "2036-01-01T00:00:00Z"}),
    ],
)
def test_certificate_days_are_counted_at_call_time(rule: str, session: dict[str, Any]) -> None:
    found = find_raised(session, {})
    assert rule in found
    assert not {"certificate-expired", "certificate-expiring", "certificate-not-yet-valid"} - {rule} & found.keys()
    assert any(name.startswith("backwatch.certificate.") for name in found[rule].evidence)


def test_evidence_holds_the_inputs_of_a_rule() -> None:
    found = find_raised({}, {names.PAYLOAD_WIRE: 204_000, names.PAYLOAD_SIZE: 210_000_000})["decompression-bomb"]
    assert found.evidence["backwatch.payload.ratio"] == pytest.approx(1029.4118)
    assert found.evidence[names.PAYLOAD_SIZE] == 210_000_000


def test_server_change_shows_previous_and_current_values() -> None:
    found = find_raised({names.SERVER_VERSION: "9.4.1"}, {})["server-changed"]
    assert (found.evidence[names.SERVER_VERSION], found.evidence[names.SERVER_VERSION + ".was"]) == ("9.4.1", "15.10")
    assert found.evidence["backwatch.server.version.number.was"] == 15_010_000
    assert found.evidence["backwatch.server.version.number"] == 9_004_001


def test_response_with_many_notices_is_a_flood() -> None:
    assert "server-notice-flood" in find_raised({}, {names.NOTICES: 5_000})
    assert "server-notice-flood" not in find_raised({}, {names.NOTICES: 3})


def test_clear_password_supersedes_only_plaintext_session() -> None:
    bare = {names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "", names.TLS_REQUESTED: "prefer"}
    sent = find_raised({**bare, names.AUTH_METHOD: "clear-password", names.SERVER_ADDRESS: "other"}, {})
    assert sent.keys() == {"password-in-clear"}
    proof = find_raised({**bare, names.AUTH_METHOD: "scram-sha-256", names.SERVER_ADDRESS: "other"}, {})
    assert proof.keys() == {"plaintext-session"}


def test_flood_of_topologies_raises_nothing_and_stays_bounded() -> None:
    shard = ENGINE.new_shard()
    calls = [
        streams.Call(
            LAST_NS + i, streams.SAFE, {**streams.statement("X"), names.TOPOLOGY: f"10.0.{i % 250}.{i // 250}:1"}
        )
        for i in range(3_000)
    ]
    found = ENGINE.step(shard, streams.entry(streams.records(calls, 500)))
    assert not found.faults
    assert not [one for one in found.iter_findings() if one.rule.name == "topology-changed"]


@given(st.datetimes().map(lambda one: one.isoformat() + "Z"))
@example("2262-04-11T23:47:16Z")
@example("2262-04-11T23:47:17Z")
def test_any_certificate_time_fits_into_a_column(text: str) -> None:
    assert -1 <= instant_ns(text) < 2**63


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59Z", "2262-04-12T00:00:00Z"])
def test_certificate_without_expiry_is_judged_normally(end: str) -> None:
    found = find_raised({names.CERT_NOT_AFTER: end, names.CERT_NOT_BEFORE: "2026-01-01T00:00:00Z"}, {})
    assert found.keys() == {"certificate-long-lived"}
    assert find_raised({names.CERT_NOT_AFTER: end, names.CERT_NOT_BEFORE: end}, {}).keys() >= {
        "certificate-not-yet-valid"
    }
