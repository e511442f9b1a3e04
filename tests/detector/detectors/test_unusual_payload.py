"""Values with a format, container or name that their place never returned."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.stories import DAY, SAFE, CallFacts, at, list_fired

MEDIUM, HIGH, CRITICAL = "unusual-payload", "unusual-payload-code", "hostile-payload"
CACHE = {**SAFE, names.DB_SYSTEM: "redis", names.BYTES_RECEIVED: 80}


def get(
    at_s: float, format_: str = "", loaded: str = "", containers: str = "", key: str = "session", **facts: Any
) -> CallFacts:
    value = {
        names.PAYLOAD_FORMAT: format_, names.PAYLOAD_GLOBALS: loaded, names.PAYLOAD_CONTAINERS: containers,
    }  # fmt: skip
    story = {**at(at_s, CACHE, "", "cache.py:read"), **{name: text for name, text in value.items() if text}, **facts}
    return {**story, names.STATEMENT: f"GET {key}:?", names.QUERY_TEXT: f"GET {key}:?"}


def put(at_s: float, written: str, key: str = "session") -> CallFacts:
    story = at(at_s, CACHE, "", "cache.py:write")
    return {
        **story,
        names.STATEMENT: f"SET {key}:? ?",
        names.QUERY_TEXT: f"SET {key}:? ?",
        names.PAYLOAD_WRITTEN: written,
    }


def past(count: int = 154, days: float = 2, **value: Any) -> list[CallFacts]:
    return [get(number * days * DAY / count, **value) for number in range(count)]


def raised(*stories: list[CallFacts]) -> list[str]:
    rules = (CRITICAL, HIGH, MEDIUM)
    return [next((rule for rule in rules if rule in found), "") for found in list_fired(*stories)]


@pytest.mark.parametrize(
    ("usual", "then", "expected"),
    [
        ({}, {"format_": "pickle"}, MEDIUM),
        ({}, {"format_": "gzip"}, MEDIUM),
        ({}, {"format_": "zstd"}, MEDIUM),
        ({"format_": "pickle"}, {}, ""),
        ({"format_": "pickle"}, {"format_": "pickle", "containers": "base64"}, MEDIUM),
        ({"format_": "pickle"}, {"format_": "pickle", "loaded": "shop.models.Basket"}, MEDIUM),
        ({"format_": "pickle", "loaded": "shop.models.Basket"}, {"format_": "pickle"}, ""),
        ({"format_": "pickle", "loaded": "shop.A"}, {"format_": "pickle", "loaded": "shop.A,shop.models.B"}, ""),
        ({"format_": "pickle", "loaded": "shop.A"}, {"format_": "pickle", "loaded": "shop.jobs.restore"}, MEDIUM),
        ({"format_": "pickle", "loaded": "shop.A"}, {"format_": "pickle", "loaded": "other.B"}, MEDIUM),
        ({"format_": "pickle", "loaded": "numpy.ma.core.a"}, {"format_": "pickle", "loaded": "numpy.b.c"}, ""),
        ({"format_": "pickle"}, {"format_": "pickle", "loaded": "?,builtins.ValueError"}, ""),
        ({"format_": "pickle"}, {"format_": "pickle", "loaded": "threading.Thread"}, HIGH),
        ({}, {"format_": "java", "loaded": "com.vendor.Thing"}, HIGH),
        ({}, {"format_": "yaml"}, HIGH),
        ({"format_": "java", "loaded": "com.vendor.Thing"}, {"format_": "java", "loaded": "com.vendor.Other"}, ""),
        ({}, {"format_": "pickle", "loaded": "os.system"}, CRITICAL),
    ],
)  # fmt: skip
def test_only_a_new_kind_raises_an_alert(usual: dict[str, Any], then: dict[str, Any], expected: str) -> None:
    assert raised(past(**usual), [get(3 * DAY, **then), get(3 * DAY + 1, **usual)]) == [expected, ""]


@pytest.mark.parametrize(("count", "format_", "expected"), [
    (149, "pickle", ""), (150, "pickle", MEDIUM), (29, "java", ""), (34, "java", HIGH),
])  # fmt: skip
def test_no_alert_before_the_place_is_known(count: int, format_: str, expected: str) -> None:
    assert raised(past(count), [get(3 * DAY, format_)]) == [expected]
    assert raised(past(count, days=0.03), [get(0.03 * DAY, format_)]) == [""]


def test_misses_and_other_systems_teach_nothing() -> None:
    misses = [{**miss, names.BYTES_RECEIVED: 5} for miss in past()]
    assert raised(misses, [get(3 * DAY, "pickle")]) == [""]
    tables = [{**call, names.DB_SYSTEM: "postgresql"} for call in past()]
    assert raised(tables, [{**get(3 * DAY, "pickle"), names.DB_SYSTEM: "postgresql"}]) == [""]


def test_each_key_has_its_own_kinds() -> None:
    both = [call for pair in zip(past(), past(format_="pickle", key="page"), strict=True) for call in pair]
    assert raised(both, [get(3 * DAY, "pickle", key="page"), get(3 * DAY, "pickle")]) == ["", MEDIUM]


def test_kind_that_the_app_wrote_there_itself_is_explained() -> None:
    change = [put(3 * DAY, "pickle+zlib,shop.models.Basket")]
    read = get(3 * DAY + 1, "pickle", "shop.models.Basket", "zlib")
    assert raised(past(), change, [read]) == [""]
    assert raised(past(), [{**change[0], names.STATEMENT: "SET page:? ?"}], [read]) == [MEDIUM]
    assert raised(past(), change, [get(3 * DAY + 1, "pickle", "shop.jobs.restore", "zlib")]) == [MEDIUM]


def test_hostile_value_is_not_excused_by_a_write() -> None:
    change = [put(3 * DAY, "pickle,os.system")]
    assert raised(past(), change, [get(3 * DAY + 1, "pickle", "os.system")]) == [CRITICAL]


def test_young_release_explains_data_but_no_code() -> None:
    old = [{**call, names.SERVICE_RELEASE: "1"} for call in past()]
    young = [
        {**get(3 * DAY, "pickle"), names.SERVICE_RELEASE: "2"},
        {**get(3 * DAY + 1, "java"), names.SERVICE_RELEASE: "2"},
    ]
    assert raised(old, young) == ["", HIGH]
    late = [{**get(3 * DAY), names.SERVICE_RELEASE: "2"}, {**get(4 * DAY, "pickle"), names.SERVICE_RELEASE: "2"}]
    assert raised(old, late) == ["", MEDIUM]


def test_kind_in_quiet_use_for_a_week_is_known() -> None:
    week = raised(past(), [get((3 + number / 4) * DAY, "pickle") for number in range(32)])
    assert set(week[:28]) == {MEDIUM}
    assert week[-1] == ""


def test_place_that_keeps_showing_new_kinds_is_never_known() -> None:
    many = [get(number * 1_500, "pickle", f"module{number // 20}.call") for number in range(240)]
    assert set(raised(many, [get(5 * DAY, "pickle", "other.call")])) == {""}


def test_keys_beyond_the_remembered_ones_are_not_judged() -> None:
    known = [get(day * DAY, key=f"key{number}") for day in range(3) for number in range(15) for _ in range(12)]
    assert raised(past(), known, past(154, key="late"), [get(3 * DAY, "pickle", key="late")]) == [""]
    assert raised(past(), known, [get(3 * DAY, "pickle")]) == [MEDIUM]
