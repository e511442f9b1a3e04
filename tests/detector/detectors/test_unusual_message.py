"""Messages with a form that is new for their topic and call site."""

from typing import Any

import pytest

from backwatch.collector import names
from backwatch.detector.detectors.unusual_message import KNOWN_BY
from tests.detector.stories import DAY, SAFE, CallFacts, at, list_fired

RULE = "unusual-message"
USUAL = "json+key+trace"


def poll(
    at_s: float, forms: str = USUAL, site: str = "worker.py:take", topic: str = "orders", **facts: Any
) -> CallFacts:
    session = {**SAFE, names.MESSAGING_SYSTEM: "kafka", names.MESSAGING_DESTINATION: topic}
    return at(at_s, session, f"poll {topic}", site, **{**facts, names.MESSAGE_FORMS: forms})


def past(count: int = 200, forms: str = USUAL, days: float = 2, topic: str = "orders") -> list[CallFacts]:
    return [poll(i * days * DAY / count, forms, topic=topic) for i in range(count)]


def raises(*stories: list[CallFacts]) -> list[bool]:
    return [RULE in one for one in list_fired(*stories)]


def test_only_a_new_form_raises_an_alert() -> None:
    assert raises(past(), [poll(3 * DAY, "json"), poll(3 * DAY + 1)]) == [True, False]


def test_forged_message_among_usual_ones_raises_an_alert() -> None:
    assert raises(past(), [poll(3 * DAY, f"json,{USUAL}")]) == [True]


@pytest.mark.parametrize(
    ("usual", "then", "expected"),
    [
        ("json+key+trace", "json+key", True), ("json+key+trace", "json+trace", True), ("json+key", "xml+key", True),
        ("json+key", "other+key", True), ("registry+key", "json+key", True), ("other+key", "json", True),
        # Additional parts: a newly traced producer, the header of a retry.
        ("json", "json+key+trace+headers", False), ("json+key+trace", "json+key+trace+headers", False),
        # Texts and numbers may begin with any byte.
        ("other+key", "json+key", False), ("other", "registry+key", False), ("other", "xml", False),
        # The consumer gained or lost a value deserializer.
        ("json+key", "object+key", False), ("object+key", "other+key", False), ("object+key", "xml+key", False),
        ("json+key", "object", True), ("object+key", "json", True),
    ],
)  # fmt: skip
def test_form_with_missing_parts_or_another_prefix_is_new(usual: str, then: str, expected: bool) -> None:
    assert raises(past(forms=usual), [poll(3 * DAY, then)]) == [expected]


def test_every_form_has_a_bit_of_a_signed_number() -> None:
    assert KNOWN_BY.shape[0] < 63
    assert (KNOWN_BY > 0).all()


def test_topic_of_several_forms_is_known_with_all_of_them() -> None:
    both = [poll(i * 600, USUAL if i % 3 else "registry") for i in range(400)]
    assert raises(both, [poll(4 * DAY, "registry"), poll(4 * DAY + 1, f"registry,{USUAL}")]) == [False, False]
    assert raises(both, [poll(4 * DAY, "json")]) == [True]


def test_no_alert_before_the_topic_is_known() -> None:
    assert raises(past(150), [poll(3 * DAY, "json")]) == [False]
    assert raises(past(152), [poll(3 * DAY, "json")]) == [True]
    assert raises(past(200, days=0.02), [poll(0.02 * DAY, "json")]) == [False]


def test_topic_with_ever_new_forms_is_not_known() -> None:
    late = [*past(200), poll(2 * DAY, "json+key")]
    assert raises(past(100), [poll(2 * DAY + i, USUAL) for i in range(60)], [poll(3 * DAY, "xml")]) == [True]
    early = [*past(100), poll(2 * DAY, "registry"), *[poll(2 * DAY + i, USUAL) for i in range(1, 140)]]
    assert raises(early, [poll(3 * DAY, "xml")]) == [False]
    assert raises(late, [poll(3 * DAY, "json+key")]) == [True]


def test_message_at_another_call_site_does_not_count() -> None:
    assert raises(past(), [poll(3 * DAY, "json", "report.py:read")]) == [False]


def test_new_topic_at_a_call_site_has_its_own_forms() -> None:
    assert raises(past(), [poll(3 * DAY, "registry", topic="audit")]) == [False]
    both = [one for pair in zip(past(), past(forms="json", topic="audit"), strict=True) for one in pair]
    assert raises(both, [poll(3 * DAY, "json"), poll(3 * DAY, "json", topic="audit")]) == [True, False]


def test_topics_beyond_eight_raise_nothing_until_one_is_forgotten() -> None:
    many = [poll(i * 60, topic=f"t{i % 8}") for i in range(8 * 200)]
    ninth = [poll(1.2 * DAY + i * 60, topic="ninth") for i in range(200)]
    assert raises(many, ninth, [poll(1.5 * DAY, "json", topic="ninth")]) == [False]
    assert raises(many, ninth, [poll(1.5 * DAY, "json", topic=f"t{i}") for i in range(8)]) == [True] * 8
    assert raises(many, [poll(0.1 * DAY, topic="early")], [poll(1.5 * DAY, "json", topic="t0")]) == [True]
    later = [poll(20 * DAY + i * 60, topic="ninth") for i in range(200)]
    assert raises(many, later, [poll(21 * DAY, "json", topic="ninth")]) == [True]


def test_form_in_quiet_use_for_a_week_is_known() -> None:
    week = raises(past(), [poll((3 + i / 4) * DAY, "json") for i in range(40)])
    assert all(week[:28])
    assert not week[-1]


def test_two_messages_a_week_apart_do_not_make_a_form_known() -> None:
    assert raises(past(), [poll(3 * DAY, "json"), poll(11 * DAY, "json"), poll(12 * DAY, "json")]) == [True] * 3


def test_single_forged_message_beside_a_new_form_is_not_learnt() -> None:
    going_on = [poll((3 + i / 4) * DAY, "json") for i in range(60)]
    forged = [*going_on[:20], poll(8 * DAY, "xml"), *going_on[20:]]
    assert raises(past(), forged, [poll(19 * DAY, "json"), poll(19 * DAY, "xml")]) == [False, True]


def test_forged_messages_do_not_keep_a_new_form_from_being_learnt() -> None:
    mixed = [poll((3 + i / 4) * DAY, "xml" if i % 17 == 0 else "json") for i in range(64)]
    assert raises(past(), mixed, [poll(20 * DAY, "json"), poll(20 * DAY, "xml")]) == [False, True]


def test_attack_message_makes_no_form_known() -> None:
    bombs = [poll((3 + i / 4) * DAY, "other", backwatch__payload__globals="os.system") for i in range(60)]
    assert raises(past(), bombs, [poll(19 * DAY, "other")]) == [True]


def test_unknown_form_raises_nothing() -> None:
    assert raises(past(), [poll(3 * DAY, "json+wings"), poll(3 * DAY + 1, "")]) == [False, False]
