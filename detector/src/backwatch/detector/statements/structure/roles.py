"""The role of each name of a statement: table, function, column or alias."""

from typing import Any, Final

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.vocabulary import CLOSING, COMMA, DOT, OPENING, K, is_keyword, is_name

TABLE, FUNCTION, COLUMN, ALIAS = 1, 2, 3, 4

_FROM, _JOIN, _INTO, _UPDATE, _TABLE, _AS = K["FROM"], K["JOIN"], K["INTO"], K["UPDATE"], K["TABLE"], K["AS"]
_FOR: Final = K["FOR"]
_WHERE, _GROUP, _ORDER, _SELECT, _UNION = K["WHERE"], K["GROUP"], K["ORDER"], K["SELECT"], K["UNION"]
_SET, _ON, _LIMIT, _HAVING = K["SET"], K["ON"], K["LIMIT"], K["HAVING"]


@kernel
def _ends_tables(code: int) -> bool:
    return (
        code == _WHERE or code == _GROUP or code == _ORDER or code == _SELECT or code == _UNION or code == _SET
        or code == _ON or code == _LIMIT or code == _HAVING
    )  # fmt: skip


@kernel
def find_roles(codes: Any, count: int, role: Any) -> None:
    """Write the role of each token: 0 where it is no name."""
    listing, leads = False, False
    for i in range(count):
        role[i] = 0
        code = codes[i]
        if is_keyword(code):
            leads = code == _FROM or code == _JOIN or code == _INTO or code == _TABLE
            leads = leads or (code == _UPDATE and not (i > 0 and codes[i - 1] == _FOR))
            if code == _FROM:
                listing = True
            elif _ends_tables(code):
                listing = False
        elif code == COMMA:
            leads = listing
        elif code == CLOSING or code == OPENING:
            leads = False
        elif is_name(code):
            opens = i + 1 < count and codes[i + 1] == OPENING
            if leads and not (opens and codes[i - 1] != _INTO and codes[i - 1] != _TABLE):
                role[i] = TABLE
                leads = i + 1 < count and codes[i + 1] == DOT
            elif opens and not (i > 0 and codes[i - 1] == CLOSING):
                role[i] = FUNCTION
                leads = False
            elif i > 0 and (codes[i - 1] == _AS or role[i - 1] == TABLE):
                role[i] = ALIAS
            else:
                role[i] = COLUMN
