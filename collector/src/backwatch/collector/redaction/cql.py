"""CQL: its extensions rewritten so that the SQL scanner reads them correctly, at the same length.

Strings in ``$$``, comments after ``//``, UUIDs and durations without quotes, backslashes that escape nothing. Read as
SQL, a ``$$`` string would be reported as code, and half of a UUID as a column.
"""

import re
from collections.abc import Iterable
from typing import Final

from backwatch.collector.redaction.sql import to_statement
from backwatch.collector.runtime.keyed_cache import HASH_IS_KEYED
from backwatch.collector.statements.scan import CACHE_ENTRIES

MAX_SCANNED: Final = 262_144
"""Characters, more than the scanner reads: the rest is dropped, and the statement is reported as cut."""
MAX_STATEMENTS: Final = 256
_ODD: Final = re.compile(r"\$\$|//|\\|[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-|[0-9][a-zA-Zµ]|[pP][0-9T-]")
_usual: set[tuple[int, int]] = set()
"""Cached statements that need no replacement."""
_HEX: Final = "[0-9a-fA-F]"
_TOKEN: Final = re.compile(
    rf"""
    (?P<string>'(?:[^']++|'')*+'?)
  | "(?:[^"]++|"")*+"?
  | (?P<dollars>\$\$(?:[^$]++|\$(?!\$))*+(?:\$\$)?)
  | --[^\n\r]*+
  | (?P<comment>//[^\n\r]*+)
  | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?
  | (?<!\w)(?P<literal>{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?!\w)
      | (?:[0-9]{{1,20}}(?:mo|ms|us|µs|μs|ns|[ywdhms])){{1,12}}(?!\w)
      | p(?=[0-9t])(?:[0-9]{{1,20}}[ymwd]){{0,4}}(?:t(?:[0-9]{{1,20}}[hms]){{1,3}})?+(?!\w)
      | p[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}t[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(?!\w))
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _mask_token(token: re.Match[str]) -> str:
    kind, text = token.lastgroup, token[0]
    if kind == "string":
        return text.replace("\\", "/")
    if kind == "dollars":
        closed = len(text) > 3 and text.endswith("$$")
        return "'" + "." * (len(text) - 2) + "'" if closed else "'" + "." * (len(text) - 1)
    if kind == "comment":
        return "--" + text[2:]
    return "0" * len(text) if kind == "literal" else text


def hide_literals(text: str) -> str:
    """Return the statement as SQL of the same length, with CQL's own literals replaced.

    >>> hide_literals("SELECT a FROM t WHERE id = 5b6962dd-3f90-4c93-8f61-eabfa4a803e2 // mine")
    'SELECT a FROM t WHERE id = 000000000000000000000000000000000000 -- mine'
    >>> hide_literals("INSERT INTO t (a, b) VALUES ($$it's$$, 1h30m)")
    "INSERT INTO t (a, b) VALUES ('......', 00000)"
    """
    # Python's own hash is keyed, so a cached text itself need not be kept.
    mark = (hash(text), len(text))
    if mark in _usual:
        return text
    text = text[:MAX_SCANNED]
    if _ODD.search(text) is not None:
        return _TOKEN.sub(_mask_token, text)
    if HASH_IS_KEYED and len(text) == mark[1]:
        if len(_usual) >= CACHE_ENTRIES:
            _usual.clear()
        _usual.add(mark)
    return text


def to_batch_statement(texts: Iterable[str]) -> str:
    """Return one statement for a batch of these, each shape once, for any number of rows.

    >>> texts = ["INSERT INTO t (a) VALUES (1);", "INSERT INTO t (a) VALUES (2)", "DELETE FROM u WHERE b = ?"]
    >>> to_batch_statement(texts)
    'BEGIN BATCH INSERT INTO t (a) VALUES (1) DELETE FROM u WHERE b = ? APPLY BATCH'
    """
    shapes: dict[str, str] = {}
    for number, text in enumerate(texts):
        if number >= MAX_STATEMENTS:
            break
        statement = hide_literals(text.rstrip().rstrip(";"))
        shapes.setdefault(to_statement(statement, "cassandra"), statement)
    return f"BEGIN BATCH {' '.join(shapes.values())} APPLY BATCH"
