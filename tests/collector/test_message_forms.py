"""A message's form: words of fixed lists, whatever it holds, and nothing of what it holds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.message_forms import MAX_HEADERS, MOST, form_of, told
from backwatch.detector.engine.readings import message_forms

FORMS = 1 << len(names.FORM_VALUES) * 2 ** len(names.FORM_PARTS)
TRACED = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
headers = st.lists(st.tuples(st.text(), st.binary()), max_size=6) | st.none()


def words(*messages: tuple[Any, Any, Any]) -> str:
    forms = 0
    for one in messages:
        forms |= form_of(*one)
    return str(dict(told(forms)).get(names.MESSAGE_FORMS, ""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"order": 7}', "json"), (b' \n{ "order": 7}', "json"), (b"{}", "json"), (b"[[1], [2]]", "json"),
        (b"[]", "json"), (b'["a"]', "json"), ('{"order": 7}', "json"), (bytearray(b"[1, 2]"), "json"),
        (b"<?xml version='1.0'?>", "xml"), (b"<order>", "xml"), (b"<!DOCTYPE x>", "xml"), (b"<34>1 syslog", "other"),
        (b"[INFO] started", "other"), (b"{broken", "other"), (b"two apples", "other"), (b"7", "other"),
        (b"\0\0\0\0\x07\x02abc", "registry"), (b"\0\0", "other"), (b"\x80\x04K\x01.", "other"),
        (b"\x0a\x03abc", "other"), (b"\xff\xfe", "other"), ({"order": 7}, "object"), (7, "object"),
        (None, ""), (b"", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_value_is_told_by_what_it_begins_as(value: object, expected: str) -> None:
    assert words((value, None, None)) == expected


def test_what_came_with_it_is_told_in_the_order_of_the_list() -> None:
    assert words((b"{}", b"7", [])) == "json+key"
    assert words((b"{}", None, TRACED)) == "json+trace"
    assert words((b"{}", b"", [*TRACED, ("source", b"web")])) == "json+key+trace+headers"
    assert words((b"{}", None, (("TraceParent", b""), ("Baggage", b"")))) == "json+trace"


def test_each_form_of_a_call_is_told_once() -> None:
    plain, keyed = (b"{}", None, None), (b"[1]", b"7", None)
    assert words(keyed, plain, keyed, plain, (None, b"7", TRACED)) == "json,json+key"


def test_no_more_forms_are_told_of_a_call_than_a_bound() -> None:
    assert len(str(dict(told(FORMS - 1))[names.MESSAGE_FORMS]).split(",")) == MOST


@given(st.binary() | st.text() | st.none() | st.integers() | st.lists(st.binary()), st.binary() | st.none(), headers)
def test_whatever_a_message_holds_it_has_at_most_one_form_of_the_lists(value: Any, key: Any, found: Any) -> None:
    form = form_of(value, key, found)
    assert form.bit_count() == (value not in (None, b"", ""))
    assert form < FORMS
    for word in filter(None, words((value, key, found)).split(",")):
        first, *parts = word.split("+")
        assert first in names.FORM_VALUES
        assert [part for part in names.FORM_PARTS if part in parts] == parts


@given(st.integers(min_value=0, max_value=FORMS - 1))
def test_the_detector_reads_what_the_collector_tells(forms: int) -> None:
    kept = [at for at in range(forms.bit_length()) if forms >> at & 1][:MOST]
    assert message_forms(str(dict(told(forms)).get(names.MESSAGE_FORMS, ""))) == sum(1 << at for at in kept)


@given(st.text())
def test_a_text_that_is_no_list_of_forms_has_bits_of_none_or_of_known_ones(text: str) -> None:
    assert 0 <= message_forms(text) < FORMS


def test_of_many_headers_the_first_ones_are_looked_at() -> None:
    many = [("traceparent", b"")] * MAX_HEADERS + [("source", b"")]
    assert words((b"{}", None, many)) == "json+trace"


def test_a_texts_subclass_is_not_read() -> None:
    class Strange(str):
        __slots__ = ()

        def __getitem__(self, _: object) -> str:
            raise LookupError

    assert words((Strange("{}"), None, None)) == "object"
