"""New statements of a release, and fetches that are no second query."""

from backwatch.collector import names
from tests.detector.stories import DAY, CallFacts, at, list_fired, past

OLD: CallFacts = {names.SERVICE_RELEASE: "4.1.0"}
NEW: CallFacts = {names.SERVICE_RELEASE: "4.2.0"}
HOUR = 3_600
OTHER = "SELECT id, total FROM orders WHERE id = ?"
PAST = past(statement="SELECT id FROM orders WHERE id = ?", **OLD)
DEPLOYED = 3 * DAY


def test_new_statement_of_a_release_is_reported_once_as_part_of_it() -> None:
    first, again, later = list_fired(
        PAST,
        [at(DEPLOYED, statement=OTHER, **NEW), at(DEPLOYED + 1, statement=OTHER, **NEW),
         at(DEPLOYED + 2 * DAY, statement=OTHER, **NEW)],
    )  # fmt: skip
    assert (first, again, later) == ({"new-query-in-release"}, set(), set())


def test_new_statement_of_a_known_release_is_unusual() -> None:
    assert list_fired(PAST, [at(DEPLOYED, statement=OTHER, **OLD)]) == [{"unusual-query"}]
    assert list_fired(past(statement="SELECT id FROM orders WHERE id = ?"), [at(DEPLOYED, statement=OTHER)]) == [
        {"unusual-query"}
    ]


def test_release_explains_no_injected_statement() -> None:
    [found] = list_fired(PAST, [at(DEPLOYED, statement=OTHER, backwatch__query__signs="comment-tail", **NEW)])
    assert found == {"query-attack"}
    union = "SELECT id FROM orders WHERE id = ? UNION SELECT password FROM accounts"
    assert list_fired(PAST, [at(DEPLOYED, statement=union, **NEW)]) == [{"query-attack"}]


def test_release_is_young_for_an_hour_and_for_first_calls() -> None:
    known = "SELECT id FROM orders WHERE id = ?"
    busy = [at(DEPLOYED + i, statement=known, **NEW) for i in range(60)]
    assert list_fired([*PAST, *busy], [at(DEPLOYED + HOUR - 1, statement=OTHER, **NEW)]) == [{"new-query-in-release"}]
    assert list_fired([*PAST, *busy], [at(DEPLOYED + HOUR + 1, statement=OTHER, **NEW)]) == [{"unusual-query"}]
    seldom = busy[:5]
    assert list_fired([*PAST, *seldom], [at(DEPLOYED + DAY, statement=OTHER, **NEW)]) == [{"new-query-in-release"}]


def test_old_release_beside_a_new_one_explains_no_statement() -> None:
    known = "SELECT id FROM orders WHERE id = ?"
    assert list_fired([*PAST, at(DEPLOYED, statement=known, **NEW)], [at(DEPLOYED + 9, statement=OTHER, **OLD)]) == [
        {"unusual-query"}
    ]


def test_first_release_explains_nothing() -> None:
    without_release = past(statement="SELECT id FROM orders WHERE id = ?")
    assert list_fired(without_release, [at(DEPLOYED, statement=OTHER, **OLD)]) == [{"unusual-query"}]


def _call_release(at_s: float, release: str, statement: str = "SELECT id FROM orders WHERE id = ?") -> CallFacts:
    facts: CallFacts = {names.SERVICE_RELEASE: release}
    return at(at_s, statement=statement, **facts)


def test_distinct_release_per_process_does_not_suppress_alerts() -> None:
    pods = [_call_release(DEPLOYED + i, f"4.2.0-{i % 20}") for i in range(2_000)]
    assert list_fired([*PAST, *pods], [_call_release(DEPLOYED + 2 * HOUR, "4.2.0-19", OTHER)]) == [{"unusual-query"}]


def test_each_of_several_daily_releases_explains_its_statements() -> None:
    for i in range(7):
        before = [_call_release(DEPLOYED + j * HOUR, f"5.{j}") for j in range(i)]
        assert list_fired([*PAST, *before], [_call_release(DEPLOYED + i * HOUR, f"5.{i}", OTHER)]) == [
            {"new-query-in-release"}
        ]
    before = [_call_release(DEPLOYED + j * HOUR, f"5.{j}") for j in range(9)]
    assert list_fired([*PAST, *before], [_call_release(DEPLOYED + 2 * DAY, "6", OTHER)]) == [{"new-query-in-release"}]


def test_dynamic_call_site_with_fetches_never_settles() -> None:
    def asked(i: int) -> list[CallFacts]:
        text = f"SELECT c{i} FROM orders"
        return [
            at(600 * i, statement=text, db__operation__name="SELECT"),
            at(600 * i + 1, statement=text, db__operation__name="FETCH"),
        ]

    assert list_fired([call for i in range(100) for call in asked(i)], asked(200)) == [set(), set()]


def test_call_site_with_repeated_statements_and_fetches_settles() -> None:
    def asked(i: int, text: str) -> list[CallFacts]:
        return [
            at(600 * i, statement=text, db__operation__name="SELECT"),
            at(600 * i + 1, statement=text, db__operation__name="FETCH"),
        ]

    usual = [call for i in range(160) for call in asked(i, f"SELECT c{i % 3} FROM orders")]
    assert list_fired(usual, asked(170, OTHER))[0] == {"unusual-query"}


def test_statement_that_always_failed_is_known_once_the_call_site_settles() -> None:
    def asked(i: int) -> list[CallFacts]:
        return [at(600 * i), at(600 * i + 1, statement=OTHER, error__type="404")]

    always = [call for i in range(60) for call in asked(i)]
    assert list_fired(always, asked(70)) == [set(), set()]
    assert list_fired(past(), [at(DEPLOYED, statement=OTHER, error__type="404")]) == [{"unusual-query"}]


def test_new_statement_of_a_dynamic_call_site_raises_nothing() -> None:
    form = [at(600 * i, statement=f"SELECT a FROM b WHERE c{i % 9} = ?") for i in range(200)]
    other = "SELECT a FROM b WHERE d = ?"
    later = [at(3 * DAY, statement=other), at(3 * DAY + 1, statement=other), at(3 * DAY + 2, statement=other)]
    assert list_fired(form, later) == [{"dynamic-query"}, set(), set()]
    [found] = list_fired(form, [at(3 * DAY, statement=other, backwatch__query__signs="comment-tail")])
    assert "query-attack" in found


def test_statement_known_at_another_call_site_raises_nothing() -> None:
    both = [at(600 * i + j, site=f"views.py:{j}", statement=f"SELECT c{j} FROM b") for i in range(160) for j in (0, 1)]
    assert list_fired(both, [at(3 * DAY, site="views.py:0", statement="SELECT c1 FROM b")]) == [set()]
    assert list_fired(both, [at(3 * DAY, site="views.py:0", statement="SELECT c2 FROM b")]) == [{"unusual-query"}]


def test_rare_branch_of_an_unsettled_call_site_raises_nothing() -> None:
    seldom = past(statement="SELECT id FROM orders WHERE id = ?", count=100)
    assert list_fired(seldom, [at(DEPLOYED, statement=OTHER)] * 3) == [set(), set(), set()]


def test_only_injected_statements_raise_alerts_before_settling() -> None:
    few = past(statement="SELECT id FROM orders WHERE id = ?", count=60)
    assert list_fired(few, [at(DEPLOYED, statement=OTHER)]) == [set()]
    union = "SELECT id FROM orders WHERE id = ? UNION SELECT password FROM accounts"
    assert list_fired(few, [at(DEPLOYED, statement=union)]) == [{"query-attack"}]


def test_dynamic_call_site_is_no_excuse_for_another_table() -> None:
    form = [at(600 * i, statement=f"SELECT a FROM b WHERE c{i % 9} = ?") for i in range(200)]
    for statement in ("SELECT a FROM accounts WHERE c1 = ?", "SELECT a FROM b WHERE c1 = (SELECT min(c1) FROM b)"):
        [found] = list_fired(form, [at(3 * DAY, statement=statement)])
        assert found & {"unusual-query", "query-attack"}


def test_first_commit_of_a_settled_call_site_is_no_news() -> None:
    for statement in ("COMMIT", "BEGIN", "ROLLBACK TO SAVEPOINT s1", "SET autocommit = 0", "SELECT 1"):
        assert list_fired(past(count=300), [at(DEPLOYED, statement=statement)] * 3) == [set(), set(), set()]
    [found] = list_fired(past(count=300), [at(DEPLOYED, statement="SET GLOBAL general_log_file = ?")])
    assert found == {"audit-disabled"}
