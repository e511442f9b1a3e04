"""Stored values that run code while they are read."""

import datetime as dt
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.scenarios.redis.java_object import OBJECT
from backwatch.resource.formats import find_code_format

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value", [_Bomb(), [_Bomb()], ("a" * 300, _Bomb()), dt.date(2026, 1, 1)], ids=["bomb", "list", "late", "date"]
)
def test_pickle_that_imports_is_found_in_each_protocol(protocol: int, value: object) -> None:
    assert find_code_format(pickle.dumps(value, protocol)) == "pickle"


@pytest.mark.parametrize(
    "value", [bomb(), bomb() + b"more", bomb()[:-1], b"cos\nsystem\n(S'ls'\ntR.", b"(S'ls'\nios\nsystem\n."]
)
def test_bomb_is_found_whatever_follows_it(value: bytes) -> None:
    assert find_code_format(value) == "pickle"


def test_java_object_is_found() -> None:
    assert find_code_format(OBJECT) == "java"


@given(PLAIN)
def test_json_and_pickles_of_plain_data_are_no_code(value: object) -> None:
    assert find_code_format(json.dumps(value).encode()) == ""
    assert find_code_format(pickle.dumps(value)) == ""


@given(st.binary(max_size=2000))
def test_any_bytes_have_an_answer(value: bytes) -> None:
    assert find_code_format(value) in ("", "pickle", "java")


@pytest.mark.parametrize(
    "value", [b"cat\ndog\nRabbit\n.", b"I am\nhere.", b"(see above)\n.", b"\x80\x04\x95 no pickle", b"Nothing\nnew."]
)
def test_text_that_begins_alike_is_no_code(value: bytes) -> None:
    assert find_code_format(value) == ""
