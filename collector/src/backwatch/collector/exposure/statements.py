"""Kinds by the names in a call's canonical text: columns of SQL, fields of MongoDB's documents.

The text is free of values. Of SQL a column in the list of a SELECT or RETURNING is received; one that is inserted, set
or compared with a value is sent. Names of tables, functions and keys of the protocol do not count.
"""

import re
from typing import Final

from backwatch.collector.exposure.columns import kinds_of_name

MAX_TEXT: Final = 8_192
MAX_NAMES: Final = 300
"""Names that are read in one text."""
_TOKENS: Final = re.compile(
    r'"([^"]{1,100})"|`\s?([^`]{1,100}?)\s?`|\[([^\W\d][\w $-]{0,99})\]|([^\W\d][\w$]{0,99})|([(),.;?]|[<>=!:]+)'
)
_VALUE_AFTER: Final = re.compile(
    r'["`\])\s]*(?:=|<>|!=|<=|>=|<|>|(?:NOT\s+)?(?:I?LIKE|IN|BETWEEN|REGEXP|SIMILAR TO)\b)\s*\(?\s*(?:\w+\()?[?:@$]',
    re.IGNORECASE,
)
_TABLE_BEFORE: Final = frozenset(("FROM", "JOIN", "INTO", "UPDATE", "TABLE", "ONLY", "DATABASE", "SCHEMA", "INDEX"))
_RECEIVED_AFTER: Final = frozenset(("SELECT", "RETURNING", "OUTPUT"))
_ENDS_LIST: Final = frozenset(("FROM", "INTO", "WHERE", "VALUES", "UNION", "INTERSECT", "EXCEPT"))
_COUNTING: Final = frozenset(("COUNT", "EXISTS", "LENGTH", "CHAR_LENGTH", "LEN"))
_FIELDS: Final = re.compile(r'"([^"\\]{1,100})"\s*:|(?<=[{,\s])([^\W\d][\w.]{0,99})\s*:')

Kinds = tuple[int, int]
"""Kinds received and sent, as bits."""
NO_KINDS: Final = (0, 0)


def kinds_of_text(text: str, *, sql: bool) -> Kinds:
    """Return the kinds that a call receives and sends by the names in its text.

    >>> kinds_of_text("SELECT email FROM users WHERE iban = ?", sql=True)
    (1, 8)
    >>> kinds_of_text("INSERT INTO users(email) VALUES(?) RETURNING id", sql=True)
    (0, 1)
    """
    text = text[:MAX_TEXT]
    found = _of_sql(text) if sql else _of_document(text)
    return found if any(found) else NO_KINDS


def _of_sql(text: str) -> Kinds:
    received = sent = count = 0
    in_list = inserts = counting = False
    before, depth = "", 0
    for token in _TOKENS.finditer(text):
        word = token[4] or ""
        if token[5]:
            depth += (token[5] == "(") - (token[5] == ")")
            counting = counting and token[5] != ")"
            before = token[5]
            continue
        upper, follows = word.upper(), text[token.end() : token.end() + 1]
        if upper in _RECEIVED_AFTER:
            in_list, inserts = True, False
        elif upper in _ENDS_LIST:
            in_list, inserts = False, upper == "INTO"
        elif upper in _COUNTING and follows == "(":
            counting = True
        elif follows in ("(", "."):
            inserts = inserts or before == "INTO"
        elif before not in _TABLE_BEFORE and not counting:
            count += 1
            if count > MAX_NAMES:
                break
            bits = kinds_of_name(token[1] or token[2] or token[3] or word)
            if bits and in_list:
                received |= bits
            elif bits and ((inserts and depth) or _VALUE_AFTER.match(text, token.end())):
                sent |= bits
        before = upper
    return received, sent


def _of_document(text: str) -> Kinds:
    sent = 0
    for count, found in enumerate(_FIELDS.finditer(text)):
        if count >= MAX_NAMES:
            break
        sent |= kinds_of_name(found[1] or found[2])
    return 0, sent
