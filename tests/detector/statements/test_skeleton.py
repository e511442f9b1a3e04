"""The short path to the canonical text gives the long path's result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector.statements.canonical import canonicalize
from backwatch.detector.statements.fingerprint import DIALECTS
from backwatch.detector.statements.skeleton import CLASSES, MAX_PLAIN_BYTES, skeleton

PIECES = st.sampled_from([
    "SELECT ", "a", "t1", " FROM ", "orders", " WHERE ", "x", "=", " = ", "1", "42",
    "007", "1.5", ".5", "5.", "1e5", "0x1F",
    "'a'", "'it 5'", "''", "'a''b'", "'\\'", "N'x'", "E'x'", "q'[x]'", "(", ")", ",", " IN ", "-", "--",
    " - ", "/", "/*", "*/", "*",
    "+", "?", ":n", ":1", "?1", "%s", "::", ";", "\n", "\t", "<", ">", "<>", "%", ".", "_", "VALUES", "LIMIT ", "AND ",
    "PASSWORD ",
    "IDENTIFIED BY ", "ALTER USER u ", "é", "\"q\"", "`b`", "[c]", "$1", "#", "@a", "\\", "\0",
])  # fmt: skip


def shorten(text: str) -> str | None:
    buffer = np.frombuffer(text.encode() or b" ", np.uint8)
    out = np.zeros(MAX_PLAIN_BYTES + 8, np.uint8)
    size = skeleton(buffer, 0, len(text.encode()), CLASSES, out)
    return None if size < 0 else out[:size].tobytes().decode()


@settings(deadline=None)
@given(st.lists(PIECES, max_size=24).map("".join), st.sampled_from(sorted(DIALECTS)))
def test_skeleton_has_the_canonical_text_of_its_statement(text: str, dialect: str) -> None:
    short = shorten(text)
    if short is not None:
        assert canonicalize(text, dialect) == canonicalize(short, dialect)


@settings(deadline=None)
@given(st.text(alphabet="aB_1905'.,()=<>+-*/ \n?:%;", max_size=60), st.sampled_from(sorted(DIALECTS)))
def test_short_path_is_correct_for_any_plain_characters(text: str, dialect: str) -> None:
    short = shorten(text)
    if short is not None:
        assert canonicalize(text, dialect) == canonicalize(short, dialect)


def test_literals_are_emptied_and_names_are_kept() -> None:
    assert (
        shorten("SELECT a1 FROM t2 WHERE x = 17 AND y IN ('p', 'q')")
        == "SELECT a1 FROM t2 WHERE x = 0 AND y IN ('', '')"
    )


@pytest.mark.parametrize(
    "text", ["a -- b", "a /* b */", '"a 5"', "`a`", "E'\\''", "'a''b'", "'open", "$1", "a # b", "é", "x" * 5_000]
)
def test_text_with_other_characters_takes_the_long_path(text: str) -> None:
    assert shorten(text) is None
