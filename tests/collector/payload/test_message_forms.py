"""Message forms: words of fixed lists for any message, and nothing of its content."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.payload.message_forms import MAX_HEADERS, detect_form, to_facts
from backwatch.detector.derived.numbers import message_forms

FORMS = 1 << len(names.FORM_VALUES) * 2 ** len(names.FORM_PARTS)
TRACED = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
some_headers = st.lists(st.tuples(st.text(), st.binary()), max_size=6)


def message(value: object, key: bytes | None = None, headers: Any = ()) -> Any:
    """A message as a driver returns it; its key may be the app's own function's result for none."""
    size = -1 if key is None else len(key)
    return SimpleNamespace(value=value, key=key or "", serialized_key_size=size, headers=headers)


def words(*messages: Any) -> str:
    forms = 0
    for one in messages:
        forms |= detect_form(one) or 0
    return str(dict(to_facts(forms)).get(names.MESSAGE_FORMS, ""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"order": 7}', "json"), (b'{ "order": 7}', "json"), (b"{\n" + b" " * 40 + b'"a": 1}', "json"),
        (b"{}", "json"), (b"[[1], [2]]", "json"), (b"[]", "json"), (b'["a"]', "json"), ('{"order": 7}', "json"),
        (bytearray(b"[1, 2]"), "json"), (b"\xef\xbb\xbf{}", "json"), ({"order": 7}, "json"), ([7], "json"),
        (b"<?xml version='1.0'?>", "xml"), (b"<order>", "xml"), (b"<!DOCTYPE x>", "xml"),
        (b"\xef\xbb\xbf<a/>", "xml"), (b"<34>1 syslog", "other"), (b"[INFO] started", "other"), (b"{broken", "other"),
        (b"two apples", "other"), (b"7", "other"), (b"\0\0\0\0\x07\x02abc", "registry"), (b"\0\0", "other"),
        (b"\x80\x04K\x01.", "other"), (b"\x0a\x3cabc", "other"), (b"\x0a[7abc", "other"), (b"\xff\xfe", "other"),
        ((7,), "object"), (7, "object"), (None, ""), (b"", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_value_is_reported_by_its_beginning(value: object, expected: str) -> None:
    assert words(message(value)) == expected


@pytest.mark.parametrize(
    ("key", "headers", "expected"),
    [
        (b"7", [], "json+key"), (b"", None, "json+key"), (None, TRACED, "json+trace"),
        (b"", [*TRACED, ("source", b"web")], "json+key+trace+headers"),
        (None, (("TraceParent", b""), ("Baggage", b"")), "json+trace"), (None, [("baggage", b"")], "json"),
        (None, [("X-B3-Flags", b"1")], "json+trace"), (None, [("uberctx-user", b"")], "json+trace"),
        (None, [("b2", b"")], "json+headers"),
    ],
)  # fmt: skip
def test_form_parts_are_reported_in_list_order(key: bytes | None, headers: Any, expected: str) -> None:
    assert words(message(b"{}", key, headers)) == expected


def test_each_form_of_a_call_is_reported_exactly_once() -> None:
    plain, keyed = message(b"{}"), message(b"[1]", b"7")
    assert words(keyed, plain, keyed, plain, message(None, b"7", TRACED)) == "json,json+key"
    every = str(dict(to_facts(FORMS - 1))[names.MESSAGE_FORMS])
    assert len(every.split(",")) == FORMS.bit_length() - 1
    assert len(every) < 1_000


@given(
    st.binary() | st.text() | st.none() | st.integers() | st.lists(st.binary()), st.binary() | st.none(), some_headers
)
def test_any_message_has_at_most_one_form(value: Any, key: Any, headers: Any) -> None:
    form = detect_form(message(value, key, headers))
    assert form is not None
    assert form.bit_count() == (value not in (None, b"", ""))
    assert form < FORMS
    for word in filter(None, words(message(value, key, headers)).split(",")):
        first, *parts = word.split("+")
        assert first in names.FORM_VALUES
        assert [part for part in names.FORM_PARTS if part in parts] == parts


@given(st.integers(min_value=0, max_value=FORMS - 1))
def test_detector_reads_the_collectors_message_forms(forms: int) -> None:
    assert message_forms(str(dict(to_facts(forms)).get(names.MESSAGE_FORMS, ""))) == forms


@given(st.text())
def test_any_text_has_only_bits_of_known_forms(text: str) -> None:
    assert 0 <= message_forms(text) < FORMS


def test_of_many_headers_the_first_ones_are_looked_at() -> None:
    assert words(message(b"{}", None, TRACED * MAX_HEADERS + [("source", b"")])) == "json+trace"


def test_a_headers_name_costs_the_same_however_long_it_is() -> None:
    short, long = (message(b"{}", None, [("Σ" * length, b"")] * MAX_HEADERS) for length in (32, 1_000_000))
    spent: dict[int, float] = {}
    for _ in range(20):
        for at, one in enumerate((short, long)):
            start = time.perf_counter()
            detect_form(one)
            spent[at] = min(spent.get(at, 1.0), time.perf_counter() - start)
    assert spent[1] < 20 * spent[0]


def test_a_texts_subclass_is_not_read() -> None:
    class Strange(str):
        __slots__ = ()

        def __getitem__(self, _: object) -> str:
            raise LookupError

    assert words(message(Strange("{}"))) == "object"


def test_headers_of_another_shape_cost_the_form_and_nothing_else(
    swallowed_faults: list[tuple[str, BaseException]],
) -> None:
    assert detect_form(message(b"{}", None, [("a", b"", 1)])) is None
    assert [name for name, _ in swallowed_faults] == ["detect_form"]
