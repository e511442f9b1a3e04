"""A release may bring new statements, and rows fetched by a call of their own are no second asking."""

from backwatch.collector import names
from tests.detector.stories import DAY, Told, at, fired, past

OLD: Told = {names.SERVICE_RELEASE: "4.1.0"}
NEW: Told = {names.SERVICE_RELEASE: "4.2.0"}
HOUR = 3_600
OTHER = "SELECT id, total FROM orders WHERE id = ?"
PAST = past(statement="SELECT id FROM orders WHERE id = ?", **OLD)
DEPLOYED = 3 * DAY


def test_a_new_statement_of_a_new_release_is_told_as_its_own_and_known_from_then_on() -> None:
    first, again, later = fired(
        PAST,
        [at(DEPLOYED, statement=OTHER, **NEW), at(DEPLOYED + 1, statement=OTHER, **NEW),
         at(DEPLOYED + 2 * DAY, statement=OTHER, **NEW)],
    )  # fmt: skip
    assert (first, again, later) == ({"new-query-in-release"}, set(), set())


def test_a_new_statement_of_the_release_that_is_known_is_unusual() -> None:
    assert fired(PAST, [at(DEPLOYED, statement=OTHER, **OLD)]) == [{"unusual-query"}]
    assert fired(past(statement="SELECT id FROM orders WHERE id = ?"), [at(DEPLOYED, statement=OTHER)]) == [
        {"unusual-query"}
    ]


def test_a_release_explains_no_statement_that_bears_signs() -> None:
    [found] = fired(PAST, [at(DEPLOYED, statement=OTHER, backwatch__query__signs="odd-spacing", **NEW)])
    assert "unusual-query" in found
    assert "new-query-in-release" not in found


def test_a_release_is_young_for_an_hour_and_at_each_place_for_its_first_calls() -> None:
    known = "SELECT id FROM orders WHERE id = ?"
    busy = [at(DEPLOYED + i, statement=known, **NEW) for i in range(60)]
    assert fired([*PAST, *busy], [at(DEPLOYED + HOUR - 1, statement=OTHER, **NEW)]) == [{"new-query-in-release"}]
    assert fired([*PAST, *busy], [at(DEPLOYED + HOUR + 1, statement=OTHER, **NEW)]) == [{"unusual-query"}]
    seldom = busy[:5]
    assert fired([*PAST, *seldom], [at(DEPLOYED + DAY, statement=OTHER, **NEW)]) == [{"new-query-in-release"}]


def test_an_old_release_beside_a_new_one_explains_nothing() -> None:
    known = "SELECT id FROM orders WHERE id = ?"
    assert fired([*PAST, at(DEPLOYED, statement=known, **NEW)], [at(DEPLOYED + 9, statement=OTHER, **OLD)]) == [
        {"unusual-query"}
    ]


def test_the_first_release_that_is_told_is_no_news() -> None:
    untold = past(statement="SELECT id FROM orders WHERE id = ?")
    assert fired(untold, [at(DEPLOYED, statement=OTHER, **OLD)]) == [{"unusual-query"}]


def _released(at_s: float, release: str, statement: str = "SELECT id FROM orders WHERE id = ?") -> Told:
    told: Told = {names.SERVICE_RELEASE: release}
    return at(at_s, statement=statement, **told)


def test_an_app_whose_processes_each_name_another_release_is_surprised_all_the_same() -> None:
    pods = [_released(DEPLOYED + i, f"4.2.0-{i % 20}") for i in range(2_000)]
    assert fired([*PAST, *pods], [_released(DEPLOYED + 2 * HOUR, "4.2.0-19", OTHER)]) == [{"unusual-query"}]


def test_several_releases_in_a_day_each_explain_their_statements_and_so_does_the_next_days() -> None:
    for i in range(7):
        before = [_released(DEPLOYED + j * HOUR, f"5.{j}") for j in range(i)]
        assert fired([*PAST, *before], [_released(DEPLOYED + i * HOUR, f"5.{i}", OTHER)]) == [{"new-query-in-release"}]
    before = [_released(DEPLOYED + j * HOUR, f"5.{j}") for j in range(9)]
    assert fired([*PAST, *before], [_released(DEPLOYED + 2 * DAY, "6", OTHER)]) == [{"new-query-in-release"}]


def test_a_place_that_invents_statements_never_settles_though_rows_are_fetched_by_a_second_call() -> None:
    def asked(i: int) -> list[Told]:
        text = f"SELECT c{i} FROM orders"
        return [
            at(600 * i, statement=text, db__operation__name="SELECT"),
            at(600 * i + 1, statement=text, db__operation__name="FETCH"),
        ]

    assert fired([one for i in range(100) for one in asked(i)], asked(200)) == [set(), set()]


def test_a_place_settles_whose_statements_repeat_though_rows_are_fetched_by_a_second_call() -> None:
    def asked(i: int, text: str) -> list[Told]:
        return [
            at(600 * i, statement=text, db__operation__name="SELECT"),
            at(600 * i + 1, statement=text, db__operation__name="FETCH"),
        ]

    usual = [one for i in range(160) for one in asked(i, f"SELECT c{i % 3} FROM orders")]
    assert fired(usual, asked(170, OTHER))[0] == {"unusual-query"}


def test_what_always_failed_at_a_place_is_known_there_once_it_settles() -> None:
    def asked(i: int) -> list[Told]:
        return [at(600 * i), at(600 * i + 1, statement=OTHER, error__type="404")]

    always = [one for i in range(60) for one in asked(i)]
    assert fired(always, asked(70)) == [set(), set()]
    assert fired(past(), [at(DEPLOYED, statement=OTHER, error__type="404")]) == [{"unusual-query"}]


def test_one_more_statement_of_a_place_that_puts_them_together_is_told_and_no_surprise() -> None:
    form = [at(600 * i, statement=f"SELECT a FROM b WHERE c{i % 9} = ?") for i in range(200)]
    other = "SELECT a FROM b WHERE d = ?"
    later = [at(3 * DAY, statement=other), at(3 * DAY + 1, statement=other), at(3 * DAY + 2, statement=other)]
    assert fired(form, later) == [{"dynamic-query"}, set(), set()]
    [found] = fired(form, [at(3 * DAY, statement=other, backwatch__query__signs="odd-spacing")])
    assert "unusual-query" in found


def test_a_statement_that_another_place_is_known_for_is_no_surprise() -> None:
    both = [at(600 * i + j, site=f"views.py:{j}", statement=f"SELECT c{j} FROM b") for i in range(160) for j in (0, 1)]
    assert fired(both, [at(3 * DAY, site="views.py:0", statement="SELECT c1 FROM b")]) == [set()]
    assert fired(both, [at(3 * DAY, site="views.py:0", statement="SELECT c2 FROM b")]) == [{"unusual-query"}]


def test_a_branch_that_is_taken_once_in_a_hundred_calls_is_no_surprise_where_it_was_not_seen_yet() -> None:
    seldom = past(statement="SELECT id FROM orders WHERE id = ?", count=100)
    assert fired(seldom, [at(DEPLOYED, statement=OTHER)] * 3) == [set(), set(), set()]


def test_at_a_place_that_is_not_surely_settled_only_what_bears_a_sign_is_a_surprise() -> None:
    few = past(statement="SELECT id FROM orders WHERE id = ?", count=60)
    assert fired(few, [at(DEPLOYED, statement=OTHER)]) == [set()]
    assert fired(few, [at(DEPLOYED, statement=OTHER, backwatch__query__signs="odd-spacing")]) == [{"unusual-query"}]
