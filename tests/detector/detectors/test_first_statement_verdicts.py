"""Verdicts on statements: unusual ones, attacks, dangerous functions, bulk reads and volumes."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.detectors.first_calls import DAY, TLS, after, first, history, on
from tests.detector.small_engine import SmallEngine

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
        ("privilege-escalation", "GRANT ALL ON a TO b"),
        ("account-locked-out", "REVOKE ALL ON a FROM b"),
    ],
)
def test_unusual_destructive_and_privilege_statements_raise_alerts(rule: str, statement: str) -> None:
    assert after(history(), on(TLS, 3 * DAY, statement)) == {rule}
    assert first([on(TLS, 0, statement)])[0] == set()  # a migration, or a test's first run


@pytest.mark.parametrize("statement", [
    "ALTER ROLE shop SUPERUSER",
    "CREATE ROLE mallory WITH LOGIN CREATEROLE PASSWORD ?",
    "GRANT pg_monitor, pg_execute_server_program TO shop",
    "GRANT ALL PRIVILEGES ON * .* TO ? @ ?",
    "GRANT SUPER, FILE ON * .* TO shop",
    "ALTER SERVER ROLE sysadmin ADD MEMBER shop",
])  # fmt: skip
def test_administrative_power_raises_an_alert_from_the_first_call(statement: str) -> None:
    assert first([on(TLS, 0, statement)])[0] == {"privilege-escalation"}


@pytest.mark.parametrize("statement", [
    "CREATE ROLE shop_read NOLOGIN NOSUPERUSER NOCREATEROLE NOBYPASSRLS",
    "CREATE USER shop WITH PASSWORD ?",
    "GRANT SELECT, INSERT ON orders TO shop_read WITH GRANT OPTION",
    "GRANT ALL PRIVILEGES ON shop .* TO ? @ ?",
    "GRANT shop_read TO shop",
    "ALTER ROLE shop SET search_path = ?",
    "ALTER TABLE superuser ADD COLUMN replication INT",
    "SELECT superuser FROM roles",
])  # fmt: skip
def test_rights_that_a_first_migration_gives_raise_nothing(statement: str) -> None:
    assert first([on(TLS, 0, statement)])[0] == set()


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


def test_nightly_batch_raises_an_alert_in_its_first_night_only() -> None:
    engine, raised = SmallEngine(), list[int]()
    for minute in range(0, 20 * 24 * 60, 20):
        assert not engine.window(minute, calls=50, bytes_received=200_000, rows_returned=500 + minute % 9)[0]
        night, of_day = divmod(minute, 24 * 60)
        if of_day == 720 and engine.window(minute + 7, calls=2, rows_returned=40_000 + night)[0]:
            raised.append(night)
    assert raised == [0]


def test_moved_batch_is_no_spike_and_three_times_its_size_is_one() -> None:
    def minutes_of(report: int) -> set[str]:
        engine = SmallEngine()
        for step in range(20 * 288):  # every five minutes
            engine.window(step * 5, calls=4, rows_returned=4_000 if step % 288 == 276 else 20 + step % 3)
        return engine.window(20 * 24 * 60, calls=1, rows_returned=report)[0]

    assert minutes_of(4_000) == set()
    assert minutes_of(12_000) == {"volume-spike"}
