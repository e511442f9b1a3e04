"""One firing case and one near miss for every detector and rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.detector.rules.compiled_rules import matches
from tests.detector.detectors.first_calls import DAY, PLAIN, TLS, after, first, history, on
from tests.detector.small_engine import RULES, START_NS, SmallEngine, call

# Rules without code: rule, facts of one call, and the expected firing.

PUBLIC_API = {names.SYSTEM: "http", names.SERVER_ADDRESS: "api.example.com", names.PEER_ADDRESS: "203.0.113.5"}
LOCAL_API = {names.SYSTEM: "http", names.SERVER_ADDRESS: "127.0.0.1", names.PEER_ADDRESS: "127.0.0.1"}
ONE_CALL: list[tuple[str, dict[str, Any], bool]] = [
    ("plaintext-session", PLAIN, True),
    ("plaintext-session", TLS, False),
    ("plaintext-session", {names.PEER_ADDRESS: "198.51.100.7"}, False),  # unknown is not plaintext
    ("plaintext-session", {**PLAIN, names.PEER_ADDRESS: "127.0.0.1"}, False),
    ("plaintext-session", {**PLAIN, names.PEER_ADDRESS: "::1"}, False),
    ("plaintext-session", {**PLAIN, names.TRANSPORT: "unix"}, False),
    ("plaintext-session", {names.TLS_ESTABLISHED: False, names.SERVER_ADDRESS: "localhost"}, False),
    ("plaintext-session", {**PLAIN, names.SERVER_ADDRESS: "localhost"}, True),
    ("plaintext-session", {**PLAIN, names.PEER_ADDRESS: "127.0.0.1", names.TLS_REQUESTED: "prefer"}, False),
    ("plaintext-session",
     {**PLAIN, names.PEER_ADDRESS: "127.0.0.1", names.TLS_REQUESTED: "prefer", names.TLS_REQUESTED_EXPLICIT: True},
     True),
    ("plaintext-session", {**PLAIN, names.TLS_REQUESTED: "require"}, False),  # covered by tls-stripped
    ("plaintext-session", {**PLAIN, names.SYSTEM: "smtp", names.OPERATION: "connect"}, False),
    ("plaintext-session", {**PLAIN, names.SYSTEM: "smtp", names.OPERATION: "send"}, True),
    ("tls-stripped", {**PLAIN, names.TLS_REQUESTED: "require"}, True),
    ("tls-stripped", {**PLAIN, names.PEER_ADDRESS: "127.0.0.1", names.TLS_REQUESTED: "verify-full"}, True),
    ("tls-stripped", {**PLAIN, names.TLS_REQUESTED: "prefer"}, False),
    ("tls-stripped", {names.STARTTLS_OFFERED: False, names.TLS_REQUESTED: "verify-full"}, True),
    ("tls-stripped", {**TLS, names.STARTTLS_OFFERED: True}, False),
    ("unverified-session", {**TLS, names.TLS_VERIFIED: "none"}, True),
    ("unverified-session", {**TLS, names.TLS_VERIFIED: "chain"}, True),  # the name check was requested and not done
    ("unverified-session", {**TLS, names.TLS_VERIFIED: "chain", names.TLS_REQUESTED: "verify-ca"}, False),
    ("unverified-session", {**TLS, names.TLS_VERIFIED: "none", names.PEER_ADDRESS: "127.0.0.1"}, False),
    ("unverified-session", {names.TLS_ESTABLISHED: True}, False),
    ("weak-tls", {**TLS, names.TLS_VERSION: "1.1"}, True),
    ("weak-tls", {**TLS, names.TLS_VERSION: "TLSv1"}, True),
    ("weak-tls", {**TLS, names.TLS_VERSION: "SSLv3"}, True),
    ("weak-tls", {**TLS, names.TLS_VERSION: "1.2"}, False),
    ("weak-tls", {**TLS, names.TLS_CIPHER: "ECDHE-RSA-RC4-SHA"}, True),
    ("weak-tls", {**TLS, names.TLS_CIPHER: "TLS_RSA_WITH_3DES_EDE_CBC_SHA"}, True),
    ("weak-tls", {**TLS, names.TLS_CIPHER: "DES-CBC3-SHA"}, True),
    ("weak-tls", {**TLS, names.TLS_CIPHER: "ECDHE-ECDSA-CHACHA20-POLY1305"}, False),
    ("weak-tls", {**TLS, names.TLS_CIPHER: "ECDHE-RSA-AES256-GCM-SHA384"}, False),
    ("local-file-request", {names.LOCAL_INFILE: True, names.QUERY_TEXT: "SELECT @@version"}, True),
    ("local-file-request", {names.LOCAL_INFILE: True, names.QUERY_TEXT: "LOAD DATA LOCAL INFILE ? INTO t"}, False),
    ("hostile-payload", {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "posix.system"}, True),
    ("hostile-payload", {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "shop.Basket,builtins.eval"}, True),
    ("hostile-payload", {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "?.system"}, True),
    ("hostile-payload", {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "shop.models.Basket"}, False),
    ("hostile-payload", {names.PAYLOAD_FORMAT: "pickle"}, False),
    ("hostile-payload", {names.PAYLOAD_GLOBALS: "osmosis.Pump,codecs.encode"}, False),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "http://169.254.169.254/latest/meta-data/"}, True),
    ("redirected", {**LOCAL_API, names.REDIRECT_TARGET: "http://169.254.169.254/latest/meta-data/"}, True),
    ("redirected", {**LOCAL_API, names.REDIRECT_TARGET: "http://metadata.google.internal/"}, True),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "http://[::ffff:169.254.169.254]/"}, True),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "http://localhost:6379/"}, True),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "10.0.0.9:6379"}, True),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "file:///etc/passwd"}, True),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "https://billing.internal/"}, True),
    ("redirected", {**LOCAL_API, names.REDIRECT_TARGET: "http://127.0.0.1:8081/next"}, False),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "https://api.example.com/v2/"}, False),
    ("redirected", {**PUBLIC_API, names.REDIRECT_TARGET: "https://10.example.com/"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "facts", "fires"), ONE_CALL)
def test_rule_fires_on_one_call_by_reported_facts(name: str, facts: dict[str, Any], fires: bool) -> None:
    [fired] = first([{**call(0), names.DB_SYSTEM: "", **facts}])
    assert fires is (name in fired)


# tls-stripped


def test_plaintext_after_tls_only_is_stripped() -> None:
    assert "tls-stripped" in after(history(), on(PLAIN, 3 * DAY))


def test_plaintext_after_mixed_use_is_not_stripped() -> None:
    mixed = [on(TLS if i % 3 else PLAIN, i * 60) for i in range(300)]
    engine = SmallEngine()
    assert all("tls-stripped" not in one for one in engine.step(mixed)[30:])
    assert "tls-stripped" not in engine.step([on(PLAIN, DAY)])[0]


def test_only_calls_before_starttls_may_be_plaintext() -> None:
    mail = {names.SYSTEM: "smtp", names.DB_SYSTEM: ""}
    calls: list[dict[str, Any]] = []
    for i in range(60):
        calls.append({**on(PLAIN, i * 600, "connect"), **mail, names.OPERATION: "connect"})
        calls += [
            {**on(TLS, i * 600 + j, text), **mail, names.OPERATION: "send"}
            for j, text in enumerate(["STARTTLS", "send to example.org"])
        ]
    engine = SmallEngine()
    assert set().union(*engine.step(calls)) == set()
    hello = {**on(PLAIN, DAY, "connect"), **mail, names.OPERATION: "connect"}
    sent = {**on(PLAIN, DAY + 1, "send to example.org"), **mail, names.OPERATION: "send"}
    greeting, mailed = engine.step([hello, sent])
    assert "tls-stripped" not in greeting
    assert "tls-stripped" in mailed


# certificate-changed


def test_swapped_certificate_raises_an_alert() -> None:
    fired = after(history(), on({**TLS, names.CERT_SHA256: "bb", names.CERT_ISSUER: "CN=Mallory"}, 3 * DAY))
    assert "certificate-changed" in fired


def test_verified_renewal_near_expiry_raises_nothing() -> None:
    old = {**TLS, names.CERT_NOT_AFTER: "2026-10-15T00:00:00Z"}
    new = {**TLS, names.CERT_SHA256: "bb", names.CERT_NOT_AFTER: "2027-01-15T00:00:00Z"}
    assert "certificate-changed" not in after(history(old), on(new, 3 * DAY))
    assert "certificate-changed" in after(history(old), on({**new, names.TLS_VERIFIED: "none"}, 3 * DAY))
    assert "certificate-changed" in after(history(old), on({**new, names.CERT_ISSUER: "CN=Other"}, 3 * DAY))
    assert "certificate-changed" in after(history(), on(new, 3 * DAY))  # the old one is valid for another half year


def test_changed_intermediate_of_one_authority_is_a_renewal() -> None:
    issuer = "CN={},O=Let's Encrypt,C=US"
    old = {**TLS, names.CERT_ISSUER: issuer.format("R10"), names.CERT_NOT_AFTER: "2026-10-15T00:00:00Z"}
    new = {
        **old,
        names.CERT_SHA256: "bb",
        names.CERT_ISSUER: issuer.format("R11"),
        names.CERT_NOT_AFTER: "2027-01-15T00:00:00Z",
    }
    assert "certificate-changed" not in after(history(old), on(new, 3 * DAY))
    forged = {**new, names.CERT_ISSUER: r"CN=R11\,O=Let's Encrypt,O=Mallory"}
    assert "certificate-changed" in after(history(old), on(forged, 3 * DAY))


def _until(day: float, name: str, life_days: float = 90) -> dict[str, Any]:
    end = datetime.fromtimestamp(START_NS / 1e9, UTC) + timedelta(days=day)
    begin = end - timedelta(days=life_days)
    return {**TLS, names.CERT_SHA256: name, names.CERT_NOT_BEFORE: begin.isoformat(),
            names.CERT_NOT_AFTER: end.isoformat()}  # fmt: skip


def _renew_on_day_30() -> SmallEngine:
    engine = SmallEngine()
    engine.step([on(_until(60, "old"), i * DAY / 4) for i in range(120)])
    renewed = engine.step([on(_until(120, "new"), (30 + i / 4) * DAY) for i in range(60)])
    assert "certificate-changed" not in set().union(*renewed)
    return engine


def test_already_renewed_certificate_excuses_no_second_renewal() -> None:
    assert "certificate-changed" in _renew_on_day_30().step([on(_until(150, "mallory"), 46 * DAY)])[0]


def test_renewed_certificate_can_be_renewed_again() -> None:
    assert "certificate-changed" not in _renew_on_day_30().step([on(_until(180, "newer"), 90 * DAY)])[0]


def test_short_lived_certificate_is_due_only_in_its_second_half() -> None:
    past = [on(_until(20, "old", 20), i * DAY / 20) for i in range(100)]
    assert "certificate-changed" in after(past, on(_until(25, "mallory", 20), 6 * DAY))
    assert "certificate-changed" not in after(past, on(_until(31, "new", 20), 12 * DAY))


def test_ninth_long_lived_certificate_is_learnt_like_the_second() -> None:
    engine = SmallEngine()
    raised: list[set[str]] = []
    for number in range(12):
        raised = engine.step(
            [on({**TLS, names.CERT_SHA256: f"{number}"}, (number * 20 + i / 4) * DAY) for i in range(60)]
        )
    assert "certificate-changed" in raised[0]
    assert "certificate-changed" not in raised[-1]


def test_certificate_of_the_first_hour_raises_nothing() -> None:
    past = [on({**TLS, names.CERT_SHA256: f"{i % 3}"}, i) for i in range(100)]
    assert set().union(*first(past)) == set()


def test_new_certificate_is_known_after_a_quiet_week() -> None:
    engine = SmallEngine()
    engine.step(history())
    swapped = {**TLS, names.CERT_SHA256: "bb"}
    week = engine.step([on(swapped, (3 + i / 4) * DAY) for i in range(40)])
    assert all("certificate-changed" in one for one in week[:28])
    assert "certificate-changed" not in week[-1]


def test_many_certificates_of_an_attacker_do_not_evict_the_known_one() -> None:
    engine = SmallEngine()
    engine.step(history())
    flood = engine.step([on({**TLS, names.CERT_SHA256: f"m{i}"}, 3 * DAY + i) for i in range(50)])
    assert all("certificate-changed" in one for one in flood)
    assert "certificate-changed" not in engine.step([on(TLS, 4 * DAY)])[0]


# peer-changed

UNVERIFIED = {**TLS, names.TLS_VERIFIED: "chain", names.TLS_REQUESTED: "verify-ca"}


def test_new_peer_raises_an_alert_unless_verified() -> None:
    assert "peer-changed" in after(history(UNVERIFIED), on({**UNVERIFIED, names.PEER_ADDRESS: "203.0.113.9"}, 3 * DAY))
    assert "peer-changed" not in after(history(), on({**TLS, names.PEER_ADDRESS: "203.0.113.9"}, 3 * DAY))


def test_resource_with_many_addresses_raises_nothing() -> None:
    past = [on({**UNVERIFIED, names.PEER_ADDRESS: f"203.0.113.{i % 40}"}, i * 600) for i in range(500)]
    engine = SmallEngine()
    assert set().union(*engine.step(past)) == set()
    assert "peer-changed" not in engine.step([on({**UNVERIFIED, names.PEER_ADDRESS: "203.0.113.99"}, 4 * DAY)])[0]


# redirected


def test_redirect_to_a_new_host_raises_an_alert() -> None:
    api = {names.SYSTEM: "http", names.SERVER_ADDRESS: "api.example.com", names.DB_SYSTEM: ""}
    past = [{**on(TLS, i * 600, "GET api.example.com/"), **api} for i in range(100)]
    there = {**on(TLS, 3 * DAY, "GET api.example.com/"), **api, names.REDIRECT_TARGET: "https://evil.example.net/x"}
    within = {**there, names.REDIRECT_TARGET: "https://api.example.com/elsewhere"}
    assert "redirected" in after(past, there)
    assert "redirected" not in after(past, within)


@pytest.mark.parametrize(
    ("target", "is_told"),
    [
        ("http://127.0.0.1:9999/admin", True), ("127.0.0.1:6379", True), ("https://127.0.0.1:7000/", False),
        ("https://127.0.0.1:443/", False), ("https://127.0.0.1:80/", False), ("http://127.0.0.1/", True),
    ],
)  # fmt: skip
def test_other_port_on_the_same_host_is_another_service(target: str, is_told: bool) -> None:
    api = {names.SYSTEM: "http", names.SERVER_ADDRESS: "127.0.0.1", names.SERVER_PORT: 7000, names.DB_SYSTEM: ""}
    past = [{**on(TLS, i * 600, "GET 127.0.0.1/"), **api} for i in range(100)]
    there = {**on(TLS, 3 * DAY, "GET 127.0.0.1/"), **api, names.REDIRECT_TARGET: target}
    assert ("redirected" in after(past, there)) is is_told


def test_redirect_to_plaintext_that_is_usual_raises_nothing() -> None:
    api = {names.SYSTEM: "http", names.SERVER_ADDRESS: "api.example.com", names.DB_SYSTEM: ""}
    plain = {**api, names.REDIRECT_TARGET: "http://api.example.com/a/"}
    past = [{**on(TLS, i * 600, "GET api.example.com/"), **(plain if i % 2 else api)} for i in range(100)]
    assert "redirected" not in after(past, {**on(TLS, 3 * DAY, "GET api.example.com/"), **plain})


def _leads_inside(target: str) -> bool:
    api = {names.SYSTEM: "http", names.SERVER_ADDRESS: "api.example.com", names.DB_SYSTEM: ""}
    return "redirected" in first([{**call(0), **api, names.REDIRECT_TARGET: target}])[0]


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "10.1",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "localhost.",
        "db.internal.",
        "169.254.43518",
        "metadata.google.internal.",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
    ],
)
def test_internal_host_is_recognised_in_any_spelling(host: str) -> None:
    assert _leads_inside(f"https://{host}:8080/x")


@pytest.mark.parametrize(
    "host", ["1.example.com", "0x.example", "9.9.9.9", "[2001:db8::1]", "cafe.example.", "10x.org"]
)
def test_public_host_is_not_internal(host: str) -> None:
    assert not _leads_inside(f"https://{host}/x")


def test_usual_redirect_raises_nothing() -> None:
    api = {
        names.SYSTEM: "http",
        names.SERVER_ADDRESS: "api.example.com",
        names.DB_SYSTEM: "",
        names.REDIRECT_TARGET: "https://cdn.example.net/x",
    }
    past = [{**on(TLS, i * 600, "GET api.example.com/"), **api} for i in range(100)]
    assert "redirected" not in after(
        past, {**on(TLS, 3 * DAY, "GET api.example.com/"), **api, names.REDIRECT_TARGET: "https://cdn.example.net/y"}
    )


def test_only_loss_raises_telemetry_loss() -> None:
    [one] = [rule for rule in RULES.rules if rule.name == "telemetry-loss"]
    assert matches(one, {"backwatch.loss.kind": "gap", "backwatch.loss.count": 3})
    assert not matches(one, {"backwatch.loss.kind": "gap", "backwatch.loss.count": 0})
