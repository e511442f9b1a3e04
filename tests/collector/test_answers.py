"""An answer's signs: words of a fixed list, whatever the service wrote, and nothing of what it wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.answers import MAX_TEXT, with_error, with_signs


def signs(error: BaseException) -> str:
    return str(dict(with_error((), error)).get(names.ANSWER_SIGNS, ""))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relation does not exist\nLINE 1: SELECT 1\n        ^", ""),
        ("Zeile mit Umlaut: überfällig, 漢字, emoji 🙂, tab\there", ""),
        ("550 no such user\r\n", ""),
        ("a trailing return\r", ""),
        ("x\x1b[2J\x1b[1;1Hall is well", "terminal-escape"),
        ("x\x1b]0;title\x07", "terminal-escape,control-character"),
        ("user \u202egnp.exe", "hidden-text"),
        ("denied\rOK: logged in as root", "control-character"),
        ("null \0 byte", "control-character"),
        (b"ERR \x1b[31m", "terminal-escape"),
        ("\u2066a\u2069".encode(), "hidden-text"),
        (b"\xff\xfe bytes of no encoding", ""),
    ],
)
def test_an_errors_text_shows_what_steers_whoever_reads_it(text: str | bytes, expected: str) -> None:
    assert signs(RuntimeError(text)) == expected
    assert signs(RuntimeError(1064, text)) == expected


@given(st.lists(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.lists(st.text())), max_size=6))
def test_whatever_an_error_holds_only_words_of_the_list_come_of_it(parts: list[Any]) -> None:
    told = with_error((("backwatch.notices", 1),), RuntimeError(*parts))
    assert told[0] == ("backwatch.notices", 1)
    for name, value in told[1:]:
        assert name == names.ANSWER_SIGNS
        assert set(str(value).split(",")) <= set(names.ANSWER_WORDS)


class Strange(RuntimeError):
    """Of a driver that knows better."""

    @property
    def args(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise LookupError


def test_an_error_whose_class_hides_its_arguments_is_looked_at_all_the_same() -> None:
    assert signs(Strange("\x1b[2J")) == "terminal-escape"


def test_a_long_text_is_looked_at_to_a_bound() -> None:
    assert signs(RuntimeError("x" * MAX_TEXT + "\x1b")) == ""
    assert signs(RuntimeError("x" * (MAX_TEXT - 1) + "\x1b")) == "terminal-escape"


@given(st.lists(st.sampled_from(names.ANSWER_WORDS)), st.lists(st.sampled_from(names.ANSWER_WORDS), min_size=1))
def test_signs_come_together_in_the_order_of_the_list(one: list[str], other: list[str]) -> None:
    told = with_signs(with_signs((), one) if one else (), other)
    assert told == ((names.ANSWER_SIGNS, ",".join(w for w in names.ANSWER_WORDS if w in {*one, *other})),)
