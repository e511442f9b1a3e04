"""Tokens of canonical text."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.statements.canonical import canonicalize
from backwatch.detector.statements.structure.encoding import MAX_TOKENS, TABLES, TOKEN_CELLS, encode, tokens_of
from backwatch.detector.statements.structure.vocabulary import FIRST_NAME, VALUE, K, O


def test_keywords_values_and_operators_have_their_codes() -> None:
    codes, _ = tokens_of("SELECT A FROM T WHERE B = ? OR C IS NULL")
    assert codes[0] == K["SELECT"]
    assert codes[2] == K["FROM"]
    assert [int(codes[6]), int(codes[7])] == [O["="], VALUE]
    assert codes[1] >= FIRST_NAME


def test_qualified_name_is_one_token_and_the_same_quoted() -> None:
    plain, quoted = tokens_of("SELECT U.ID FROM USERS U")[0], tokens_of('SELECT "u"."id" FROM "users" U')[0]
    assert plain.tolist() == quoted.tolist()
    assert plain.shape[0] == 5


def test_long_statement_keeps_its_head_and_its_tail() -> None:
    names = ", ".join(f"A{i}" for i in range(400))
    codes, ids = tokens_of(f"SELECT {names} FROM T WHERE B = ?")
    assert codes.shape[0] == ids.shape[0] == MAX_TOKENS
    assert codes[0] == K["SELECT"]
    assert codes[-6:].tolist() == tokens_of("FROM T WHERE B = ?")[0].tolist()


@given(st.binary(max_size=600), st.integers(0, 40), st.integers(0, 640))
def test_any_bytes_give_at_most_the_maximum_of_tokens(text: bytes, start: int, end: int) -> None:
    buffer = np.frombuffer(text or b" ", np.uint8)
    codes, ids = np.zeros(TOKEN_CELLS, np.uint16), np.zeros(TOKEN_CELLS, np.uint32)
    assert 0 <= encode(buffer, start, end, TABLES, codes, ids) <= MAX_TOKENS


@given(st.text(max_size=200))
def test_a_statement_and_its_canonical_text_have_the_same_tokens(text: str) -> None:
    once = canonicalize(text, "postgresql")
    assert tokens_of(once)[0].tolist() == tokens_of(canonicalize(once, "postgresql"))[0].tolist()
