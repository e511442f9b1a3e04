"""Text on the screen has no invisible character and none that reorders text."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.facts import in_reading_order
from backwatch.dashboard import safe, words

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
BIDI = [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f", "\u061c"]
ZERO_WIDTH = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u3164", "\ufe0f", "\U000e0041"]
IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Default_Ignorable_Code_Point of Unicode 17, DerivedCoreProperties.txt."""
anything = st.text(st.characters(exclude_categories=()), max_size=200) | st.lists(
    st.sampled_from([*BIDI, *ZERO_WIDTH, "\x00", "\x07", "\x1b", "\x85", "\r", "\ud800", "a", "\n", "\t"])
).map("".join)


@given(anything)
def test_no_control_bidirectional_or_zero_width_character_survives(text: str) -> None:
    shown = safe.visible(text)
    assert not [one for one in shown if unicodedata.category(one) in UNSEEN and one not in "\n\t"]
    assert not set(shown) & {*BIDI, *ZERO_WIDTH}
    shown.encode("utf-8")


def test_nothing_in_unicode_is_shown_that_is_drawn_as_nothing() -> None:
    unseen = [*"\u2800\U00013441\U00013442\U00016fe4\U0001d159"]
    unseen += [chr(one) for first, last in IGNORABLE for one in range(first, last + 1)]
    assert len(unseen) > 4_000
    assert [hex(ord(one)) for one in unseen if not safe.visible(one).isascii()] == []


@given(anything)
def test_a_line_is_one_line(text: str) -> None:
    assert len(safe.line(text).splitlines()) <= 1
    assert "\t" not in safe.line(text)


@given(st.integers(1, 50), anything)
def test_shown_text_is_bounded(limit: int, text: str) -> None:
    assert len(safe.visible(text, limit)) <= 10 * limit + 40


@given(st.text("abc XYZ019.,;:!?äß漢", max_size=100))
def test_visible_characters_are_unchanged(text: str) -> None:
    assert text == safe.visible(text)


@given(st.text(max_size=60))
def test_words_from_closed_sets_are_closed(text: str) -> None:
    assert words.level(text) in (*words.LEVELS, "unknown")
    assert words.state(text) in ("open", "acknowledged", "closed", "muted", "unknown")
    assert re.fullmatch(r"[a-z]+", words.colour(text))
    assert re.fullmatch(r":[a-z]+\[●\]", words.mark(text))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1))
def test_times_and_counts_are_digits_and_a_unit(number: int, time_ns: int) -> None:
    assert re.fullmatch(r"-?[0-9,]+", words.count(number))
    assert re.fullmatch(r"([0-9-]{10} [0-9:]{8})?", words.format_moment(time_ns))
    assert re.fullmatch(r"now|never|[0-9]+ (s|min|h|d) ago", words.ago(time_ns, 2**62))


@pytest.mark.parametrize("kind", ["LinkColumn", "ImageColumn", "MarkdownColumn"])
def test_a_table_refuses_columns_that_interpret_text(kind: str) -> None:
    import streamlit

    column = getattr(streamlit.column_config, kind)()
    with pytest.raises(ValueError, match="would render text"):
        safe.table([{"a": "b"}], column_config={"a": column})


def test_table_refuses_a_button_label_other_than_an_id() -> None:
    import streamlit

    column = streamlit.column_config.ButtonColumn("a", key="pressed")
    with pytest.raises(ValueError, match="must be an id"):
        safe.table([{"a": ":material/delete: Delete"}], column_config={"a": column})


@given(st.text("abz09-_.*# \n[]()!`$:", max_size=70))
def test_button_label_from_a_rule_name_is_hyphenated_words(text: str) -> None:
    if safe.is_rule(text):
        assert re.fullmatch(r"[a-z0-9-]{1,64}", text)
        assert not text.startswith("-")
        assert "--" not in text


def test_unlisted_facts_stand_between_request_and_session() -> None:
    facts = ["tls.established", "zzz", "backwatch.account", "db.query.text", "aaa", "db.response.returned_rows"]
    expected = ["db.query.text", "aaa", "zzz", "db.response.returned_rows", "tls.established", "backwatch.account"]
    assert expected == in_reading_order(facts)
