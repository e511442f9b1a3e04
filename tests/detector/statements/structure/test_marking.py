"""The difference of a statement, marked in its text."""

from hypothesis import given
from hypothesis import strategies as st

from backwatch.detector.statements.structure.encoding import MAX_TOKENS, tokens_of
from backwatch.detector.statements.structure.marking import (
    MARK_BEGIN,
    MARK_END,
    MAX_AROUND,
    MAX_DIFFERENCE,
    mark_difference,
)


def span(first: int, end: int) -> int:
    return first * 65_536 + end


def test_tokens_between_two_places_are_marked() -> None:
    text = b"SELECT A.B FROM C WHERE D = ? OR ? = ?"
    assert mark_difference(text, span(8, 12)) == "SELECT A.B FROM C WHERE D = ? «OR ? = ?»"
    assert mark_difference(text, span(1, 2)) == "SELECT «A.B» FROM C WHERE D = ? OR ? = ?"


def test_a_place_beyond_the_text_is_not_marked() -> None:
    assert mark_difference(b"SELECT ?", span(1, 9)) == ""
    assert mark_difference(b"", span(0, 1)) == ""


def test_the_end_of_a_long_statement_is_marked_where_it_stands() -> None:
    text = ("SELECT " + ", ".join(f"C{i}" for i in range(300)) + " FROM T WHERE LAST_ONE = ?").encode()
    marked = mark_difference(text, span(MAX_TOKENS - 1, MAX_TOKENS))
    assert marked.endswith("LAST_ONE = «?»")


@given(st.binary(max_size=3_000), st.integers(0, 300), st.integers(0, 300))
def test_any_text_is_marked_within_its_bounds(text: bytes, first: int, end: int) -> None:
    marked = mark_difference(text, span(first, end))
    assert len(marked) <= MAX_DIFFERENCE + 2 * MAX_AROUND + 16


@given(st.lists(st.sampled_from(["SELECT", "A.B", "?", "(", ")", ",", "FROM", "<=", "'x'", '"Y"', "é"]), min_size=1))
def test_places_are_counted_as_statements_are_compared(words: list[str]) -> None:
    text = " ".join(words)
    count = len(tokens_of(text)[0])
    if count <= MAX_TOKENS:
        assert mark_difference(text.encode(), span(count - 1, count)) != ""
        assert mark_difference(text.encode(), span(count, count + 1)) == ""
    assert mark_difference(text.encode(), span(0, 1)).startswith(MARK_BEGIN)
    assert MARK_END in mark_difference(text.encode(), span(0, 1))
