"""One firing case and one near miss for every detector and rule."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.detector.rules.compiled_rules import matches
from tests.detector.small_engine import DAY_NS, RULES, SECOND_NS, START_NS, SmallEngine, call

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


def _renewed_on_day_30() -> SmallEngine:
    engine = SmallEngine()
    engine.step([on(_until(60, "old"), i * DAY / 4) for i in range(120)])
    renewed = engine.step([on(_until(120, "new"), (30 + i / 4) * DAY) for i in range(60)])
    assert "certificate-changed" not in set().union(*renewed)
    return engine


def test_already_renewed_certificate_excuses_no_second_renewal() -> None:
    assert "certificate-changed" in _renewed_on_day_30().step([on(_until(150, "mallory"), 46 * DAY)])[0]


def test_renewed_certificate_can_be_renewed_again() -> None:
    assert "certificate-changed" not in _renewed_on_day_30().step([on(_until(180, "newer"), 90 * DAY)])[0]


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


# unusual-query and query-attack

OTHER = "SELECT name FROM customers"
INJECTED = "SELECT ? FROM a WHERE b = ? OR ? = ?"


def test_new_statement_at_a_settled_call_site_is_unusual() -> None:
    assert "unusual-query" in after(history(), on(TLS, 3 * DAY, OTHER))


def test_new_statement_at_an_unsettled_call_site_is_not_unusual() -> None:
    inventing = [on(TLS, i * 60, f"SELECT a{i} FROM b") for i in range(400)]
    assert "unusual-query" not in after(inventing, on(TLS, DAY, OTHER))


def test_call_site_with_few_calls_is_not_settled() -> None:
    assert "unusual-query" not in after(history(count=25), on(TLS, 3 * DAY, OTHER))


def test_statement_becomes_known_by_a_quiet_week_and_not_by_repetition() -> None:
    engine = SmallEngine()
    engine.step(history())
    hour = engine.step([on(TLS, 3 * DAY + i, OTHER) for i in range(100)])
    assert all("unusual-query" in one for one in hour)
    days = engine.step([on(TLS, (3 + i) * DAY, OTHER) for i in range(1, 10)])
    assert "unusual-query" in days[0]
    assert "unusual-query" not in days[-1]


def test_campaign_of_distinct_statements_does_not_unsettle_a_call_site() -> None:
    engine = SmallEngine()
    engine.step(history())
    campaign = engine.step([on(TLS, 3 * DAY + i, f"SELECT a FROM b WHERE c = {i}") for i in range(500)])
    assert all("unusual-query" in one for one in campaign)


def test_suspect_call_is_not_learnt() -> None:
    engine = SmallEngine()
    bomb = {names.PAYLOAD_GLOBALS: "os.system"}
    engine.step([{**on(TLS, i, OTHER), **bomb} for i in range(100)])
    assert "unusual-query" in (engine.step(history()) and engine.step([on(TLS, 3 * DAY, OTHER)]))[0]


def test_injection_signs_in_a_new_statement_are_an_attack() -> None:
    signs = {names.QUERY_SIGNS: "comment-tail,tautology"}
    assert "query-attack" in after(history(), {**on(TLS, 3 * DAY, INJECTED), **signs})
    assert "query-attack" in first([{**on(TLS, 0, INJECTED), **signs}])[0]


def test_refused_new_statement_at_a_settled_call_site_is_an_attack() -> None:
    past = history(statement="SELECT a FROM b WHERE c = ?")
    refused = {**on(TLS, 3 * DAY, "SELECT a FROM b WHERE c = ? + d"), names.ERROR_TYPE: "ProgrammingError"}
    lost = {**refused, names.ERROR_TYPE: "OperationalError"}
    assert "query-attack" in after(past, refused)
    assert "query-attack" in after(past, {**lost, names.STATUS_CODE: "42601"})
    filtered = {**lost, names.QUERY_TEXT: "SELECT a FROM b WHERE c = ? AND d = ?"}
    assert "query-attack" not in after(past, filtered)
    assert "query-attack" not in first([refused])[0]
    assert "query-attack" not in after(history(), {**on(TLS, 3 * DAY), names.ERROR_TYPE: "ProgrammingError"})


def test_word_in_the_place_of_a_value_is_a_bug_and_no_attack() -> None:
    past = history(statement="SELECT a FROM b WHERE c = ?")
    for statement in ("SELECT a FROM b WHERE c = ? brien ?", "SELECT a FROM b WHERE c = abc"):
        broken = {**on(TLS, 3 * DAY, statement), names.ERROR_TYPE: "ProgrammingError", names.STATUS_CODE: "42601"}
        assert after(past, broken) == {"injectable-call-site"}, statement


def test_repeated_attack_at_an_unsettled_call_site_stays_an_alert() -> None:
    inventing = [on(TLS, i * 60, f"SELECT a{i} FROM b") for i in range(100)]
    engine = SmallEngine()
    engine.step(inventing)
    repeated = engine.step([{**on(TLS, DAY + i, INJECTED), names.QUERY_SIGNS: "tautology"} for i in range(20)])
    assert all("query-attack" in one for one in repeated)


def test_one_weak_sign_in_a_new_statement_is_no_attack() -> None:
    assert "query-attack" not in first([on(TLS, 0, "SELECT version()", backwatch__query__signs="version-probe")])[0]


def test_usual_signs_of_a_call_site_are_no_attack() -> None:
    tool = [
        {**on(TLS, i * 60, f"SELECT a{i % 5} FROM information_schema"), names.QUERY_SIGNS: "catalogue"}
        for i in range(200)
    ]
    new = {**on(TLS, 3 * DAY, "SELECT b FROM information_schema"), names.QUERY_SIGNS: "catalogue"}
    assert "query-attack" not in after(tool, new)
    assert "query-attack" in after(tool, {**new, names.QUERY_SIGNS: "comment-tail,tautology,catalogue"})


def test_known_statement_with_signs_is_not_an_attack() -> None:
    usual = {names.QUERY_SIGNS: "union-appended"}
    both = "SELECT a FROM b UNION SELECT c FROM d"
    past = [{**on(TLS, i * 60, both), **usual} for i in range(100)]
    assert "query-attack" not in after(past, {**on(TLS, DAY, both), **usual})


# abuse through the app's connection


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("statement-runs-program", "COPY t TO PROGRAM ?"),
        ("statement-runs-program", "EXEC xp_cmdshell ?"),
        ("statement-touches-files", "SELECT a INTO OUTFILE ?"),
        ("statement-touches-files", "SELECT LOAD_FILE(?)"),
        ("statement-touches-files", "SELECT pg_read_file(?)"),
        ("lateral-movement", "SELECT * FROM dblink(?, ?) AS t(a int)"),
    ],
)
def test_access_to_files_programs_and_servers_raises_alerts_from_the_first_call(rule: str, statement: str) -> None:
    assert first([on(TLS, 0, statement)])[0] == {rule}
    assert after(history(), on(TLS, 3 * DAY, statement)) == {rule}  # and unusual-query does not fire too


@pytest.mark.parametrize("operation", ["CONFIG SET", "MODULE LOAD", "REPLICAOF"])
def test_redis_commands_that_load_code_raise_alerts_from_the_first_call(operation: str) -> None:
    redis = {names.DB_SYSTEM: "redis", names.OPERATION: operation, names.STATEMENT: f"{operation} ?"}
    assert first([{**on(TLS), **redis, names.QUERY_TEXT: ""}])[0] == {"redis-reconfigured"}
    known_by_text = {**on(TLS), names.DB_SYSTEM: "redis", names.QUERY_TEXT: f"{operation} ? ?"}
    assert first([known_by_text])[0] == {"redis-reconfigured"}


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("data-destroyed", "DROP TABLE users"),
        ("data-destroyed", "TRUNCATE orders"),
        ("data-destroyed", "DELETE FROM users"),
        ("data-destroyed", "UPDATE users SET email = ?"),
        ("privilege-change", "GRANT ALL ON a TO b"),
        ("account-locked-out", "REVOKE ALL ON a FROM b"),
    ],
)
def test_unusual_destructive_and_privilege_statements_raise_alerts(rule: str, statement: str) -> None:
    assert after(history(), on(TLS, 3 * DAY, statement)) == {rule}
    assert first([on(TLS, 0, statement)])[0] == set()  # a migration, or a test's first run


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM users WHERE id = ?",
        "SELECT program FROM tv",
        "UPDATE t SET dropped = ? WHERE id = ?",
        "SELECT a INTO t FROM b",
    ],
)
def test_ordinary_new_statements_raise_only_the_novelty_rule(statement: str) -> None:
    past = history(statement="SELECT id FROM orders WHERE id = ?")
    assert after(past, on(TLS, 3 * DAY, statement)) == {"unusual-query"}


def test_injected_destruction_raises_one_injection_alert() -> None:
    injected = {**on(TLS, 3 * DAY, "SELECT a FROM b WHERE c = ?; DROP TABLE users"),
                names.QUERY_SIGNS: "comment-tail,stacked"}  # fmt: skip
    assert after(history(), injected) == {"query-attack"}


def test_behaviour_from_the_first_day_is_normal() -> None:
    loader = [on(TLS, i * 3_600, "COPY t FROM PROGRAM ?", site="loader.py:run") for i in range(50)]
    engine = SmallEngine()
    found = engine.step(loader)
    assert "statement-runs-program" in found[0]
    assert "statement-runs-program" not in found[-1]


# bulk-read


def reads(rows: int, at_s: float, statement: str = "SELECT a FROM b") -> dict[str, Any]:
    return {**on(TLS, at_s, statement), names.ROWS_RETURNED: rows, names.BYTES_RECEIVED: 200 + 60 * rows}


def test_call_far_above_its_statements_maximum_is_a_bulk_read() -> None:
    past = [reads(10 + i % 7, i * 60) for i in range(200)]
    assert "bulk-read" in after(past, reads(50_000, DAY))
    assert "bulk-read" not in after(past, reads(120, DAY))  # much for this statement, but below the minimum


def test_statement_with_varying_responses_gets_a_wider_bound() -> None:
    past = [reads((7**i) % 3_001, i * 60) for i in range(300)]
    engine = SmallEngine()
    engine.step(past)
    assert "bulk-read" not in engine.step([reads(9_000, DAY)])[0]


def test_new_statement_above_all_earlier_reads_is_a_bulk_read() -> None:
    past = [reads(10 + i % 7, i * 60) for i in range(200)]
    assert "bulk-read" in after(past, reads(50_000, DAY, "SELECT * FROM customers"))
    large = [reads(20_000 + i % 7, i * 60, "SELECT export") if i % 5 == 0 else reads(10, i * 60) for i in range(200)]
    assert "bulk-read" not in after(large, reads(50_000, DAY, "SELECT * FROM customers"))


# volume-spike, multivariate-anomaly, telemetry-loss


def test_minute_with_far_more_bytes_is_a_spike() -> None:
    engine = SmallEngine()
    for minute in range(100):
        fired, _ = engine.window(
            minute, calls=50 + minute % 9, bytes_received=200_000 + 1_000 * (minute % 13), rows_returned=500
        )
        assert not fired
    fired, _ = engine.window(101, calls=60, bytes_received=90_000_000, rows_returned=500)
    assert fired == {"volume-spike"}
    fired, _ = engine.window(102, calls=60, bytes_received=300_000, rows_returned=500)
    assert not fired


def test_volume_raised_step_by_step_raises_an_alert() -> None:
    engine = SmallEngine()
    for minute in range(2_000):
        assert not engine.window(minute, calls=100, bytes_received=2_000_000 + 10_000 * ((minute * 37) % 41))[0]
    fired: list[set[str]] = []
    for step in range(250):
        amount = int(2_200_000 * 1.01**step)
        fired.append(engine.window(2_000 + step, calls=100, bytes_received=amount)[0])
    assert "volume-spike" in set().union(*fired[:161])  # before it has grown five-fold


def test_only_loss_raises_telemetry_loss() -> None:
    [one] = [rule for rule in RULES.rules if rule.name == "telemetry-loss"]
    assert matches(one, {"backwatch.loss.kind": "gap", "backwatch.loss.count": 3})
    assert not matches(one, {"backwatch.loss.kind": "gap", "backwatch.loss.count": 0})


def test_nightly_batch_raises_an_alert_in_its_first_night_only() -> None:
    engine, raised = SmallEngine(), list[int]()
    for minute in range(0, 20 * 24 * 60, 20):
        assert not engine.window(minute, calls=50, bytes_received=200_000, rows_returned=500 + minute % 9)[0]
        night, of_day = divmod(minute, 24 * 60)
        if of_day == 720 and engine.window(minute + 7, calls=2, rows_returned=40_000 + night)[0]:
            raised.append(night)
    assert raised == [0]


def test_spike_starts_between_three_and_ten_times_the_nightly_batch() -> None:
    def minutes_of(report: int) -> set[str]:
        engine = SmallEngine()
        for hour in range(20 * 24):
            engine.window(hour * 60, calls=4, rows_returned=4_000 if hour % 24 == 23 else 20 + hour % 3)
        return engine.window(20 * 24 * 60, calls=1, rows_returned=report)[0]

    assert minutes_of(12_000) == set()
    assert minutes_of(40_000) == {"volume-spike"}
