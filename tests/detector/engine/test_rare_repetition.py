"""Rare behaviour is never learnt. Daily behaviour is learnt, unless it is an attack."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from backwatch.collector import names
from backwatch.detector.baselines.call_site import ALONE, KNOWN_HERE
from backwatch.detector.state import snapshot
from tests.detector.small_engine import SmallEngine
from tests.detector.stories import DAY, SAFE, CallFacts, at, list_fired, past

LOGIN: CallFacts = {**SAFE, names.AUTH_METHOD: "scram-sha-256", names.SERVER_VERSION: "15.10"}
BARE: CallFacts = {names.TLS_ESTABLISHED: False, names.PEER_ADDRESS: "198.51.100.7", names.SERVER_VERSION: "15.10"}
RULES: dict[str, Callable[[float], CallFacts]] = {
    "unusual-query": lambda s: at(s, LOGIN, statement="SELECT name FROM customers"),
    "certificate-changed": lambda s: at(s, {**LOGIN, names.CERT_SHA256: "bb", names.CERT_ISSUER: "CN=Mallory"}),
    "peer-changed": lambda s: at(s, {**LOGIN, names.PEER_ADDRESS: "203.0.113.9"}),
    "server-changed": lambda s: at(s, {**LOGIN, names.SERVER_VERSION: "14.1"}),
    "tls-stripped": lambda s: at(s, BARE),
    "auth-downgraded": lambda s: at(s, {**LOGIN, names.AUTH_METHOD: "md5"}),
}
every_rule = pytest.mark.parametrize("rule", sorted(RULES))
ATTACKS: list[tuple[str, str, str]] = [
    ("statement-runs-program", "COPY loot TO PROGRAM ?", "program"),
    ("statement-touches-files", "SELECT pg_read_file(?)", "file-access"),
    ("query-attack", "SELECT id FROM orders WHERE id = ? OR ? = ? UNION SELECT name FROM users", "tautology"),
]
every_attack = pytest.mark.parametrize(("rule", "statement", "signs"), ATTACKS)


def days(rule: str, *when: float) -> list[CallFacts]:
    """Return a call of this kind on each of these days."""
    return [RULES[rule](day * DAY) for day in when]


def flag_raised(rule: str, found: Sequence[set[str]]) -> list[bool]:
    return [rule in raised for raised in found]


@every_rule
@pytest.mark.parametrize("touches", [(2.1, 2.1, 9.2), (2.1, 6.2, 9.2), (2.1, 2.2, 13, 20), (2.1, 5.9, 9.9, 13.9, 17.9)])
def test_occurrences_days_apart_make_nothing_known(rule: str, touches: Sequence[float]) -> None:
    last = touches[-1]
    later = days(rule, *(last + 0.1 + i / 100 for i in range(20)))
    assert all(flag_raised(rule, list_fired(past(LOGIN), days(rule, *touches), later)))


@every_rule
def test_workday_behaviour_is_known_after_a_week(rule: str) -> None:
    workdays = [3.0 + i for i in range(14) if i % 7 < 5]
    found = flag_raised(rule, list_fired(past(LOGIN), days(rule, *workdays), days(rule, 17.5, 17.6)))
    assert found == [False, False]


@every_rule
def test_interrupted_week_restarts(rule: str) -> None:
    broken = [*(3.0 + i for i in range(6)), *(13.0 + i for i in range(6))]
    assert all(flag_raised(rule, list_fired(past(LOGIN), days(rule, *broken))))
    assert flag_raised(rule, list_fired(past(LOGIN), days(rule, *broken, *(19.0 + i for i in range(3)))))[-1] is False


@every_attack
def test_repeated_attack_does_not_become_known(rule: str, statement: str, signs: str) -> None:
    def sent(day: float) -> CallFacts:
        return at(day * DAY, statement=statement, backwatch__query__signs=signs)

    month = [sent(2.5 + i / 2) for i in range(60)]
    assert all(flag_raised(rule, list_fired(past(), month)))
    assert all(flag_raised(rule, list_fired(month)))


@every_attack
def test_attack_with_new_statements_does_not_unsettle_a_call_site(rule: str, statement: str, signs: str) -> None:
    def sent(i: int) -> CallFacts:
        return at((3 + i / 4) * DAY, statement=f"{statement} -- {i}", backwatch__query__signs=signs)

    found = list_fired(past(), [sent(i) for i in range(60)], [at(20 * DAY, statement="SELECT name FROM customers")])
    assert found == [{"unusual-query"}]


def test_new_statements_a_week_apart_do_not_unsettle_a_call_site() -> None:
    def burst(day: float, count: int) -> list[CallFacts]:
        return [at(day * DAY + i, statement=f"SELECT a{int(day)}, b{i} FROM customers") for i in range(count)]

    assert all("unusual-query" in raised for raised in list_fired(past(), burst(2.1, 1), burst(9.2, 60)))


def test_daily_new_statements_unsettle_a_call_site() -> None:
    daily = [at((3 + i / 4) * DAY, statement=f"SELECT a{i} FROM customers") for i in range(40)]
    assert list_fired(past(), daily)[-1] == set()


@pytest.mark.parametrize(
    ("rule", "table", "field"),
    [
        ("tls-stripped", "tls_stripped", "plain_day"),
        ("auth-downgraded", "auth_downgraded", "day"),
    ],
)
def test_week_of_unknown_continuity_in_older_state_restarts(rule: str, table: str, field: str) -> None:
    engine = SmallEngine()
    engine.step(past(LOGIN))
    engine.step(days(rule, *(3.0 + i for i in range(7))))
    rows = engine.tables[table]
    older = np.zeros(rows.shape, [(name, rows.dtype[name]) for name in rows.dtype.names or () if name != field])
    for name in older.dtype.names or ():
        older[name] = rows[name]
    engine.tables[table] = snapshot.fit_rows(older, rows.dtype)
    assert_a_week_begins(rule, engine)


def test_pending_statement_in_older_state_restarts_its_week() -> None:
    engine = SmallEngine()
    engine.step(past(LOGIN))
    engine.step(days("unusual-query", *(3.0 + i for i in range(7))))
    engine.tables["unusual_query"]["known"] &= KNOWN_HERE | ALONE
    assert_a_week_begins("unusual-query", engine)


def assert_a_week_begins(rule: str, engine: SmallEngine) -> None:
    assert all(flag_raised(rule, engine.step(days(rule, 10.1, 11.1))))
    assert flag_raised(rule, engine.step(days(rule, *(12.1 + i for i in range(7)))))[-1] is False
