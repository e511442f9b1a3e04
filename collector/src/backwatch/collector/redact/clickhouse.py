"""ClickHouse: statements that carry data behind them, in a format that is no SQL."""

import re
from typing import Final

MAX_HEAD: Final = 8_192
"""Characters in which the end of the statement is looked for."""

_HEAD: Final = re.compile(
    r"""\s*+insert\s++into\s++
        (?:function\s++\w++\s*+\((?:[^()']++|'[^']*+')*+\)
          |(?:table\s++)?+(?:[\w.]++|`[^`]*+`|"[^"]*+")(?:\.(?:\w++|`[^`]*+`|"[^"]*+"))*+)\s*+
        (?:\([^()]*+\)\s*+)?+
        (?:settings\s++\w++\s*+=\s*+[\w.'-]++(?:\s*+,\s*+\w++\s*+=\s*+[\w.'-]++)*+\s*+)?+
        \bformat\s++\w++""",
    re.IGNORECASE | re.VERBOSE,
)


def without_data(sql: object) -> object:
    r"""An ``INSERT … FORMAT …`` without the rows behind it: they are no SQL, so no scanner would know their values.

    Everything else comes back as it was.

    >>> without_data("INSERT INTO t (a, b) FORMAT CSV\nAnn,secret")
    'INSERT INTO t (a, b) FORMAT CSV'
    >>> without_data(b"insert into `a b`.t format TSV secret")
    'insert into `a b`.t format TSV'
    >>> without_data("INSERT INTO FUNCTION file('x.csv') SETTINGS a = 1, b='c' FORMAT CSV secret")
    "INSERT INTO FUNCTION file('x.csv') SETTINGS a = 1, b='c' FORMAT CSV"
    >>> without_data("INSERT INTO t VALUES ('in format CSV')")
    "INSERT INTO t VALUES ('in format CSV')"
    """
    if isinstance(sql, (bytes, bytearray)):
        head = bytes(sql[:MAX_HEAD]).decode("utf-8", "replace")
    elif isinstance(sql, str):
        head = sql[:MAX_HEAD]
    else:
        return sql
    found = _HEAD.match(head)
    return found.group() if found is not None else sql
