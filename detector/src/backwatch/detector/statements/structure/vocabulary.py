"""Codes and classes of the tokens of canonical text.

A token is a 16-bit code: a keyword, an operator, a bracket, a value, or a name, whose code is taken from its hash. So a
statement of fifty tokens is kept in a hundred bytes, and its class is known from the code alone.
"""

from typing import Final

import numpy as np

from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.statements.letters import Bytes


def ordered_words(text: str) -> tuple[str, ...]:
    """Return the words of a text in their order."""
    return tuple(text.split())


VALUE: Final = 1
NULL, TRUE, FALSE = 2, 3, 4
DOCUMENT: Final = 6
"""First token of a statement that is the shape of a document and no SQL."""
OPENING, CLOSING, COMMA, DOT, SEMICOLON = 8, 9, 10, 11, 12
UNKNOWN_SYMBOL: Final = 13
LEFT_SQUARE, RIGHT_SQUARE, LEFT_CURLY, RIGHT_CURLY = 14, 15, 16, 17
FIRST_OPERATOR: Final = 32
FIRST_KEYWORD: Final = 128
FIRST_NAME: Final = 1_024
NAMES: Final = 65_536 - FIRST_NAME
"""Codes of names."""

OPERATORS: Final = (
    "=", "<", ">", "<=", ">=", "<>", "!=", "~", "~*", "||", "&&", "|", "&", "+", "-", "*", "/", "%", "^", "::", "!",
    ":", "@", "->", "->>", "#>", "@>", "<@", "<=>", "!~", "/*!", "*/", ":=", "#", "#>>", "**",
    "?|", "?&", "~~", "<<", ">>",
)  # fmt: skip
KEYWORDS: Final = ordered_words(
    """
    SELECT FROM WHERE AND OR NOT IN IS LIKE ILIKE BETWEEN JOIN INNER LEFT RIGHT OUTER FULL CROSS ON USING GROUP BY
    HAVING ORDER ASC DESC LIMIT OFFSET UNION ALL DISTINCT INTERSECT EXCEPT MINUS INSERT INTO VALUES UPDATE SET DELETE
    RETURNING WITH RECURSIVE AS CASE WHEN THEN ELSE END EXISTS ANY SOME INTERVAL XOR RLIKE REGEXP GLOB ESCAPE COLLATE
    FOR LOCK FETCH FIRST NEXT ROWS ROW ONLY OVER PARTITION WINDOW REPLACE MERGE CREATE ALTER DROP TABLE DIV MOD
    LATERAL CONFLICT DO NOTHING DUPLICATE KEY DEFAULT EXEC EXECUTE DECLARE CALL BINARY TOP SIMILAR TO NATURAL IGNORE
    TRUNCATE AT QUALIFY CONNECT START SOUNDS OPTION ISNULL NOTNULL OVERLAPS SEPARATOR NOWAIT SKIP PORTION PRECEDING
    FOLLOWING CURRENT EXCLUDE RANGE GROUPS COPY PROCEDURE WAITFOR STRAIGHT_JOIN OUTFILE DUMPFILE SHARE NULLS LAST
    GRANT FILTER WITHIN TABLESAMPLE MATCHED
    """
)
K: Final = {word: FIRST_KEYWORD + at for at, word in enumerate(KEYWORDS)}
"""Keyword to code."""
O: Final = {sign: FIRST_OPERATOR + at for at, sign in enumerate(OPERATORS)}  # noqa: E741  the pair of K
"""Operator to code."""

_WORD_TABLE_SIZE: Final = 1 << 11
_OFFSET, _PRIME = 0x811C9DC5, 0x01000193


def _hash(word: bytes) -> int:
    value = _OFFSET
    for byte in word:
        value = ((value ^ byte) * _PRIME) & 0xFFFFFFFF
    return value


def code_of_name(name: str) -> int:
    """Return the code of a name, in capitals, that is no keyword."""
    return FIRST_NAME + _hash(name.encode()) % NAMES


def _tables() -> tuple["np.ndarray[tuple[int], np.dtype[np.uint32]]", "np.ndarray[tuple[int], np.dtype[np.uint16]]"]:
    hashes, codes = np.zeros(_WORD_TABLE_SIZE, np.uint32), np.zeros(_WORD_TABLE_SIZE, np.uint16)
    known = {**K, **O, "NULL": NULL, "TRUE": TRUE, "FALSE": FALSE}
    for word, code in known.items():
        value = _hash(word.encode())
        cell = value & (_WORD_TABLE_SIZE - 1)
        while codes[cell]:
            cell = (cell + 1) & (_WORD_TABLE_SIZE - 1)
        hashes[cell], codes[cell] = value, code
    return hashes, codes


WORD_HASHES, WORD_CODES = _tables()
"""An open-addressed table of all keywords and operators."""


@inline
def add_byte(value: int, byte: int) -> int:
    """Continue an FNV-1a hash. It is unkeyed: a collision makes two names one, which hides nothing that is executed."""
    return ((value ^ byte) * 0x01000193) & 0xFFFFFFFF


HASH_START: Final = _OFFSET


@kernel
def find_word(value: int, hashes: "np.ndarray[tuple[int], np.dtype[np.uint32]]", codes: Bytes) -> int:
    """Return the code of a keyword or operator by its hash; 0 if it is none."""
    cell = value & (hashes.shape[0] - 1)
    while codes[cell] != 0:
        if hashes[cell] == value:
            return codes[cell]
        cell = (cell + 1) & (hashes.shape[0] - 1)
    return 0


@inline
def is_name(code: int) -> bool:
    """Return whether a token is a name."""
    return code >= 1_024


@inline
def is_keyword(code: int) -> bool:
    """Return whether a token is a keyword."""
    return 128 <= code < 1_024


@inline
def is_operator(code: int) -> bool:
    """Return whether a token is an operator, or a symbol that no dialect has."""
    return 32 <= code < 128 or code == 13


@inline
def is_constant(code: int) -> bool:
    """Return whether a token is a value or NULL, TRUE, FALSE."""
    return 1 <= code <= 4
