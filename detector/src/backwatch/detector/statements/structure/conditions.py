"""What a condition of SQL is: where it may begin and end, and which operators compare."""

from typing import Final

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.vocabulary import CLOSING, SEMICOLON, K, O

_LAST_COMPARISON: Final = O["~*"]
_FIRST_COMPARISON: Final = O["="]
_LIKE, _ILIKE, _IS, _IN, _RLIKE, _REGEXP = K["LIKE"], K["ILIKE"], K["IS"], K["IN"], K["RLIKE"], K["REGEXP"]
_GLOB, _BETWEEN, _NULL_SAFE = K["GLOB"], K["BETWEEN"], O["<=>"]
_AND, _OR, _XOR, _NOT, _WHERE, _HAVING, _ON = K["AND"], K["OR"], K["XOR"], K["NOT"], K["WHERE"], K["HAVING"], K["ON"]
_ORDER, _GROUP, _LIMIT, _UNION, _BARS, _AMPERSANDS = K["ORDER"], K["GROUP"], K["LIMIT"], K["UNION"], O["||"], O["&&"]


@kernel
def compares(code: int) -> bool:
    """Return whether a token compares two values."""
    return (
        _FIRST_COMPARISON <= code <= _LAST_COMPARISON or code == _LIKE or code == _ILIKE or code == _IS or code == _IN
        or code == _RLIKE or code == _REGEXP or code == _GLOB or code == _BETWEEN or code == _NULL_SAFE
    )  # fmt: skip


@kernel
def ends_condition(code: int) -> bool:
    """Return whether a condition may end before a token; 0 stands for the end of the text."""
    return (
        code == 0 or code == CLOSING or code == SEMICOLON or code == _AND or code == _OR or code == _XOR
        or code == _ORDER or code == _GROUP or code == _LIMIT or code == _UNION or code == _HAVING or code == _BARS
        or code == _AMPERSANDS
    )  # fmt: skip


@kernel
def starts_condition(code: int) -> bool:
    """Return whether a condition may start behind a token; 0 stands for the beginning of the text."""
    return (
        code == _WHERE or code == _AND or code == _OR or code == _XOR or code == _NOT or code == _HAVING or code == _ON
        or code == _AMPERSANDS
    )  # fmt: skip
