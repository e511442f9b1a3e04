"""Statements of systems with quotes and comments of their own, rewritten for the SQL scanner.

Lengths stay the same, and text that the scanner reads correctly is unchanged. An unknown system may have any of these
forms: text that reads like a secret in one of them is hidden, at the price of some text that is none.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from backwatch.collector.redaction import clickhouse, cql
from backwatch.collector.statements import spec
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.tokens import tokenize

MAX_SCANNED: Final = cql.MAX_SCANNED
_DOLLARS: Final = (
    r"\$\$(?:[^$]++|\$(?!\$))*+(?:\$\$)?+"
    r"|(?<![\w$])\$(?P<tag>[^\W\d]\w{0,63}+)\$(?:(?!\$(?P=tag)\$).)*+(?:\$(?P=tag)\$)?+"
)
_WORD: Final = r"\w++(?:\$(?!\$)\w*+)*+"
_STRING: Final = r"'(?:[^']++|'')*+'?"
ESCAPED: Final = r"'(?:[^'\\]++|\\.|'')*+'?|\"(?:[^\"\\]++|\\.)*+\"?|`[^`]*+`?"
COMMENT: Final = r"/\*(?:[^*]++|\*(?!/))*+(?:\*/)?"
_HEX: Final = "[0-9a-fA-F]"

_REST: Final = rf"{ESCAPED}|{COMMENT}|\#[^\n]*+|(?P<dollars>{_DOLLARS})|(?P<dashes>--[^\n]*+)|{_WORD}"
_DASHED: Final = re.compile(_REST, re.DOTALL)
_DASHED_ODD: Final = re.compile(r"\$\w*+\$|--(?!\s)")
# After ``r`` a backslash has no meaning: the next quote ends the string.
_RAW: Final = re.compile(rf"(?<![\w$])[rR](?P<quoted>'[^']*+'?|\"[^\"]*+\"?)|{_REST}", re.DOTALL)
_RAW_ODD: Final = re.compile(rf"{_DASHED_ODD.pattern}|(?<![\w$])[rR]['\"]")
# Three quotes close what three quotes open. A quote after a backslash never ends a string, raw or not.
_TRIPLE: Final = re.compile(
    rf"(?P<quoted>(?P<mark>'''|\"\"\")(?:[^'\"\\]++|\\.|(?!(?P=mark))['\"])*+(?:(?P=mark)|\\)?+)|{_REST}", re.DOTALL
)
_TRIPLE_ODD: Final = re.compile(rf"{_DASHED_ODD.pattern}|'''|\"\"\"")
# Standard SQL, except that a quote after a backslash does not end a string.
_BACKSLASHES: Final = re.compile(
    rf"(?P<quoted>'(?:[^'\\]++|\\.|'')*+'?)|\"(?:[^\"]++|\"\")*+\"?|(?:--|//)[^\n\r]*+|{COMMENT}|{_DOLLARS}", re.DOTALL
)
_UNKNOWN: Final = re.compile(
    rf"""
    (?P<kept>[nN]?[qQ]'(?:\[(?:(?!\]').)*+(?:\]')?|\((?:(?!\)').)*+(?:\)')?|\{{(?:(?!\}}').)*+(?:\}}')?
        |<(?:(?!>').)*+(?:>')?|(?P<mark>[^\s\[({{<'])(?:(?!(?P=mark)').)*+(?:(?P=mark)')?)
      | {_STRING} | --[^\n\r]*+ | {COMMENT})
  | (?P<dollars>{_DOLLARS})
  | (?P<quoted>\"\"\"(?:(?!\"\"\").)*+(?:\"\"\")?+ | \b(?:[rR][bB]?|[bB][rR]?)\"(?:[^\"\\]++|\\.)*+\"?)
  | \"(?:[^\"]++|\"\")*+\"?
  | (?P<comment>//[^\n\r]*+ | \#(?![\w>\-\#])[^\n\r]*+)
  | (?P<literal>\b{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?!\w))
  | {_WORD}
    """,
    re.VERBOSE | re.DOTALL,
)
_UNKNOWN_ODD: Final = re.compile(rf"\$\w*+\$|\"\"\"|[rRbB]\"|//|\#|{_HEX}{{4}}-{_HEX}{{4}}-")
MAX_BATCH: Final = 16_384
"""Characters of a batch that are searched for its settings."""
_STDIN: Final = re.compile(r"\bfrom\s++stdin\b", re.IGNORECASE)
MAX_OPTIONS: Final = 500
"""Characters that are searched for the end of a ``COPY``."""


def hide_literals(text: str, system: str) -> str:
    """Return the statement as SQL of the same length, without rows that no scanner could read.

    >>> hide_literals("SELECT $$it's$$, $h$a$h$ --x", "clickhouse")
    "SELECT '......', '.....' -- "
    >>> hide_literals("SELECT a // mine\\nFROM t # no", "snowflake")
    'SELECT a -- mine\\nFROM t --no'
    >>> hide_literals("SELECT '//', $1 FROM t", "snowflake"), hide_literals("SELECT $$a$$", "postgresql")
    ("SELECT '//', $1 FROM t", 'SELECT $$a$$')
    """
    change = _OF_SYSTEM.get(system.lower())
    if change is None:
        change = _unknown if dialect_of(system) == "other" else None
    return text if change is None else change(text)


def strip_rows(text: str) -> str:
    r"""Strip the rows behind ``COPY … FROM stdin;`` in a script of ``psql``; no server accepts them in this form.

    >>> strip_rows("COPY t FROM stdin;\n1\tsecret\n\\.\nSELECT 1")
    'COPY t FROM stdin;\n\\.\nSELECT 1'
    >>> strip_rows("copy t from STDIN csv;\nann,secret")
    'copy t from STDIN csv;'
    """
    if "stdin" not in text and "STDIN" not in text:
        return text
    kept: list[str] = []
    at = 0
    for found in _STDIN.finditer(text):
        begin = text.find(";", found.end(), found.end() + MAX_OPTIONS) + 1
        if not begin or found.start() < at:
            continue  # without an end, or itself among rows
        end = text.find("\n\\.", begin)
        kept.append(text[at:begin])
        at = len(text) if end < 0 else end
    return "".join([*kept, text[at:]]) if kept else text


def mask(text: str) -> str:
    """Return a string of the same length without content."""
    return ("'" + "." * (len(text) - 2) + "'")[: len(text)]


def _to_dashed(token: re.Match[str]) -> str:
    kind, text = token.lastgroup, token[0]
    if kind == "dashes":
        return text if text[2:3].isspace() else "--" + " " * (len(text) - 2)
    if kind == "quoted":
        quoted = token[kind]
        return text[: -len(quoted)] + mask(quoted)
    return mask(text) if kind == "dollars" else text


def _by(forms: re.Pattern[str], odd: re.Pattern[str]) -> Callable[[str], str]:
    """The literals of a system that is read as MySQL, for texts with characters that MySQL reads differently.

    In all of these systems ``--`` always begins a comment.
    """

    def change(text: str) -> str:
        text = text[:MAX_SCANNED]
        return text if odd.search(text) is None else forms.sub(_to_dashed, text)

    return change


_dashed: Final = _by(_DASHED, _DASHED_ODD)
_raw: Final = _by(_RAW, _RAW_ODD)
_triple: Final = _by(_TRIPLE, _TRIPLE_ODD)


def _clickhouse(text: str) -> str:
    return _dashed(str(clickhouse.strip_data(text)))


def _without_backslash(token: re.Match[str]) -> str:
    return mask(token[0]) if token["quoted"] and "\\" in token[0] else token[0]


def _backslashes(text: str) -> str:
    text = text[:MAX_SCANNED]
    return _BACKSLASHES.sub(_without_backslash, text) if "\\" in text else text


def _snowflake(text: str) -> str:
    return _unknown(_backslashes(text))


def _tsql(text: str) -> str:
    """Return a batch that turns double quotes into string quotes, with single quotes from there on."""
    head = text[:MAX_BATCH]
    if "_IDENTIFIER" not in head.upper():
        return text
    parts: list[str] = []
    at = 0
    named = strings = False
    for kind, start, end in tokenize(head, "mssql"):
        if kind == spec.WORD:
            word = head[start:end].upper()
            if named and word in ("ON", "OFF"):
                named, strings = False, word == "OFF"
            named = named or word == "QUOTED_IDENTIFIER"
        elif kind == spec.OP and head[start] == ";":
            named = False
        elif kind == spec.QUOTED and strings and head[start] == '"':
            parts += (head[at:start], mask(head[start:end]))
            at = end
    return "".join((*parts, text[at:])) if parts else text


def _as_unknown(token: re.Match[str]) -> str:
    text = token[0]
    if token.group("dollars") or token.group("quoted"):
        return mask(text)
    if token.group("comment"):
        return "--" + text[2:] if len(text) > 1 else " "
    return "0" * len(text) if token.group("literal") else text


def _unknown(text: str) -> str:
    text = text[:MAX_SCANNED]
    return text if _UNKNOWN_ODD.search(text) is None else _UNKNOWN.sub(_as_unknown, text)


_OF_SYSTEM: Final[Mapping[str, Callable[[str], str]]] = {
    "postgresql": str, "mysql": str, "sqlite": str, "mariadb": str, "microsoft.sql_server": _tsql, "mssql": _tsql,
    "azure.sql": _tsql, "sybase": _tsql, "tsql": _tsql,
    "snowflake": _snowflake, "redshift": _backslashes, "aws.redshift": _backslashes,
    "cassandra": cql.hide_literals, "scylladb": cql.hide_literals,
    "clickhouse": _clickhouse, "spark": _raw, "databricks": _raw, "bigquery": _triple, "hive": _dashed,
    "doris": _dashed,
}  # fmt: skip
