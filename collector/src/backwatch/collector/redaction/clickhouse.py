"""ClickHouse: removal of the data behind a statement, in a format that is not SQL."""

import re
from typing import Final

from backwatch.collector.statements.spec import split_words

MAX_HEAD: Final = 65_536
"""Characters that are searched for the end of the statement."""
_HEADS: Final = (2_048, MAX_HEAD)
"""Most statements end early, and the data behind them need not be read."""

_OPAQUE: Final = re.compile(
    r"""(?P<comment>--[^\n]*+|\#[!\ ][^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?+)
      | '(?:[^'\\]++|\\.|'')*+'?+ | "(?:[^"\\]++|\\.|"")*+"?+ | `(?:[^`\\]++|\\.|``)*+`?+
      | (?<![\w$])\$(?P<tag>\w{0,64}+)\$(?:[^$]++|\$(?!(?P=tag)\$))*+(?:\$(?P=tag)\$)?+""",
    re.VERBOSE | re.DOTALL,
)
_INSERTS: Final = re.compile(r"(?:^|;)\s*+(?:insert|with)\b", re.IGNORECASE)
_STEP: Final = re.compile(r"(?P<bracket>[()\[\]{};])|\bformat\b(?=\s++(?P<name>\w++))|\binsert\b", re.IGNORECASE)
_LAST_WORD: Final = re.compile(r"\w++\Z")
_LONGEST: Final = 12
"""Characters; all words of the tables below are shorter."""
_OPERAND_DUE: Final = split_words(
    """
    INTO TABLE FUNCTION FROM JOIN AS SELECT DISTINCT WHERE PREWHERE HAVING QUALIFY AND OR NOT XOR BY ON USING IN LIKE
    ILIKE BETWEEN IS CASE WHEN THEN ELSE WITH SET SETTINGS INTERVAL DIV MOD LIMIT OFFSET TOP
    """
)
"""After these words ``format`` is a name."""
_NO_FORMAT: Final = split_words(
    "VALUES FROM AS WHERE PREWHERE GROUP ORDER HAVING LIMIT UNION JOIN AND OR IN IS LIKE NOT"
)


def strip_data(sql: object) -> object:
    r"""Strip the rows behind ``INSERT … FORMAT …``: they are not SQL, so no scanner would recognise their values.

    Other statements are returned unchanged.

    >>> strip_data("INSERT INTO t (a, b) FORMAT CSV\nAnn,secret")
    'INSERT INTO t (a, b) FORMAT CSV'
    >>> strip_data(b"/* app */ insert into `a b`.t format TSV secret")
    '/* app */ insert into `a b`.t format TSV'
    >>> strip_data("INSERT INTO FUNCTION file('x.csv') SETTINGS a = 1, b='c' FORMAT CSV secret")
    "INSERT INTO FUNCTION file('x.csv') SETTINGS a = 1, b='c' FORMAT CSV"
    >>> strip_data("INSERT INTO t VALUES ('in format CSV')")
    "INSERT INTO t VALUES ('in format CSV')"
    """
    if not isinstance(sql, (str, bytes, bytearray)):
        return sql
    for size in _HEADS:
        head = sql[:size] if isinstance(sql, str) else bytes(sql[:size]).decode("utf-8", "replace")
        end = _end(head)
        if end:
            return head[:end]
        if len(sql) <= size:
            break
    return sql


def _end(head: str) -> int:
    """Return the end of the statement that has rows behind it; 0: there are no rows."""
    folded = head.lower()
    if "format" not in folded or "insert" not in folded:
        return 0
    bare = _OPAQUE.sub(_blank, head)
    if _INSERTS.search(bare) is None:
        return 0
    depth = 0
    inserts = False
    for found in _STEP.finditer(bare):
        bracket, name = found["bracket"], found["name"]
        if bracket == ";":
            depth, inserts = 0, False
        elif bracket:
            depth = depth + 1 if bracket in "([{" else max(depth - 1, 0)
        elif name is None:
            inserts = inserts or depth == 0
        elif inserts and not depth and name.upper() not in _NO_FORMAT and _operand_ends(bare, found.start()):
            return found.end("name")
    return 0


def _blank(token: re.Match[str]) -> str:
    return (" " if token["comment"] else "?") * len(token[0])


def _operand_ends(bare: str, at: int) -> bool:
    """Return whether an operand ends before ``at``, so that no name can follow."""
    at = _behind_last(bare, at)
    if bare[at - 1 : at] == "*":  # of ``SELECT *`` if no operand stands before it
        at = _behind_last(bare, at - 1)
        return bare[at - 1 : at] != "*" and not _is_operand(bare, at)
    return _is_operand(bare, at)


def _is_operand(bare: str, at: int) -> bool:
    if bare[at - 1 : at] in (")", "]", "}", "?"):
        return True
    found = _LAST_WORD.search(bare[max(at - _LONGEST, 0) : at])
    return found is not None and found[0].upper() not in _OPERAND_DUE


def _behind_last(bare: str, at: int) -> int:
    while at and bare[at - 1].isspace():
        at -= 1
    return at
