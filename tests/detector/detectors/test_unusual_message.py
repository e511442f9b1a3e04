"""Messages whose form a place was never handed."""

from typing import Any

from backwatch.collector import names
from tests.detector.stories import DAY, SAFE, Told, at, fired

TAKEN: dict[str, Any] = {**SAFE, names.MESSAGING_SYSTEM: "kafka", names.MESSAGING_DESTINATION: "orders"}
RULE = "unusual-message"
USUAL = "json+key+trace"


def poll(at_s: float, forms: str = USUAL, site: str = "worker.py:take", **facts: Any) -> Told:
    return at(at_s, TAKEN, "poll orders", site, **{**facts, names.MESSAGE_FORMS: forms})


def past(count: int = 200, forms: str = USUAL, days: float = 2) -> list[Told]:
    return [poll(i * days * DAY / count, forms) for i in range(count)]


def said(*stories: list[Told]) -> list[bool]:
    return [RULE in one for one in fired(*stories)]


def test_a_form_that_never_came_is_told_and_the_usual_one_is_not() -> None:
    assert said(past(), [poll(3 * DAY, "json"), poll(3 * DAY + 1)]) == [True, False]


def test_one_forged_message_among_the_usual_ones_of_a_poll_is_told() -> None:
    assert said(past(), [poll(3 * DAY, f"json,{USUAL}")]) == [True]


def test_a_topic_of_several_forms_is_known_with_all_of_them() -> None:
    both = [poll(i * 600, USUAL if i % 3 else "registry") for i in range(400)]
    assert said(both, [poll(4 * DAY, "registry"), poll(4 * DAY + 1, f"registry,{USUAL}")]) == [False, False]
    assert said(both, [poll(4 * DAY, "json")]) == [True]


def test_nothing_is_told_before_a_place_is_known() -> None:
    assert said(past(140), [poll(3 * DAY, "json")]) == [False]
    assert said(past(200, days=0.02), [poll(0.02 * DAY, "json")]) == [False]


def test_a_place_that_showed_forms_once_takes_longer_to_be_known() -> None:
    once = [poll(i, form) for i, form in enumerate(("json", "xml", "other", "json+key"))]
    assert said([*once, *past(160)], [poll(3 * DAY, "object")]) == [False]
    assert said([*once, *past(400)], [poll(3 * DAY, "object")]) == [True]


def test_a_message_at_another_place_says_nothing_of_this_one() -> None:
    assert said(past(), [poll(3 * DAY, "json", "report.py:read")]) == [False]


def test_what_goes_on_quietly_for_a_week_is_known() -> None:
    week = said(past(), [poll((3 + i / 4) * DAY, "json") for i in range(40)])
    assert all(week[:28])
    assert not week[-1]


def test_two_messages_a_week_apart_are_no_week_of_it() -> None:
    assert said(past(), [poll(3 * DAY, "json"), poll(11 * DAY, "json"), poll(12 * DAY, "json")]) == [True] * 3


def test_another_new_form_begins_the_week_anew() -> None:
    first = [poll((3 + i / 4) * DAY, "json") for i in range(24)]
    then = [poll((9 + i / 4) * DAY, "json,xml") for i in range(8)]
    assert all(said(past(), [*first, *then]))


def test_a_message_that_carries_an_attack_makes_no_form_known() -> None:
    bombs = [poll((3 + i / 4) * DAY, "other", backwatch__payload__globals="os.system") for i in range(60)]
    assert said(past(), bombs, [poll(19 * DAY, "other")]) == [True]


def test_what_is_no_form_says_nothing() -> None:
    assert said(past(), [poll(3 * DAY, "json+wings"), poll(3 * DAY + 1, "")]) == [False, False]
