"""Languages inside a search: Lucene's query strings, and scripts. Operators and calls stay, values are removed.

What a user types into a search box ends in a query string. Words alone change nothing of its text here; an operator, a
field or a wildcard does, and these are what an injection needs.
"""

import re
from typing import Final

MAX_TEXT: Final = 8_192
MAX_TOKENS: Final = 300
MAX_SHOWN: Final = 1_500
MAX_IDENTIFIER: Final = 60

_QUERY: Final = re.compile(
    r"""(?P<space>\s++)
    | (?P<value>"(?:[^"\\]|\\.)*+"?+ | /(?:[^/\\\s]|\\.)++/)
    | (?P<operator>&&|\|\||[()\[\]{}^~:|!+-])
    | (?P<word>(?:\\.|&(?!&)|[^\s"()\[\]{}^~:|\\&])++)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_OPERATORS: Final = frozenset(("AND", "OR", "NOT", "TO"))
_SCRIPT: Final = re.compile(
    r"""(?P<value>"(?:[^"\\]|\\.)*+"?+ | '(?:[^'\\]|\\.)*+'?+ | [0-9][0-9A-Za-z_.]*+)
    | (?P<comment>//[^\n]*+ | /\*(?:[^*]|\*(?!/))*+(?:\*/)?+)
    | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*+)
    | (?P<space>\s++)
    | (?P<operator>.)""",
    re.VERBOSE | re.DOTALL,
)
_DIGITS: Final = re.compile(r"[0-9]{3,}")


def redact_lucene(text: str, *, simple: bool = False) -> str:
    """Return the operators and wildcards of a query string; words and names of fields become ``?``.

    Args:
        simple: ``simple_query_string``, where a colon names no field.

    >>> redact_lucene('status:open AND name:"Ann Lee"'), redact_lucene("red shoes"), redact_lucene("very red shoes")
    ('?:? AND ?:?', '?', '?')
    >>> redact_lucene("ann OR *:*"), redact_lucene("sho*s~2"), redact_lucene("10:30 ann", simple=True)
    ('? OR *:*', '?*~?', '?')
    """
    shown: list[str] = []
    for found in _QUERY.finditer(text[:MAX_TEXT]):
        if len(shown) >= MAX_TOKENS:
            shown.append("…")
            break
        word = _query_token(found, simple=simple)
        if word and not (word == "?" and shown and shown[-1] == "?"):
            shown.append(word)
    return _join_words(shown)


def _query_token(found: "re.Match[str]", *, simple: bool) -> str:
    kind, part = found.lastgroup, found.group()
    if kind == "space" or kind == "other":
        return ""
    if kind == "operator":
        return "" if simple and part == ":" else part
    if kind == "word":
        if part in _OPERATORS or part in ("*", "_exists_"):
            return part
        if "*" in part:
            return "?*"
    return "?"


def _join_words(shown: list[str]) -> str:
    text = " ".join(shown)
    for sign in (":", "~", "^"):
        text = text.replace(f" {sign} ", sign)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def redact_script(source: str) -> str:
    """Return the names and operators of a script; strings, numbers and comments are removed.

    >>> redact_script("ctx._source.total += 17 // by Ann")
    'ctx._source.total+=?'
    >>> redact_script("return doc['price'].value > params.limit")
    'return doc[?].value>params.limit'
    """
    shown: list[str] = []
    blank = False
    for found in _SCRIPT.finditer(source[:MAX_TEXT]):
        part = _script_part(found)
        if not part:
            blank = True
            continue
        if blank and shown and shown[-1][-1].isalnum() and part[0].isalnum():
            shown.append(" ")
        shown.append(part)
        blank = False
        if len(shown) >= 2 * MAX_TOKENS:
            shown.append("…")
            break
    text = "".join(shown)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _script_part(found: "re.Match[str]") -> str:
    kind, part = found.lastgroup, found.group()
    if kind in ("space", "comment"):
        return ""
    if kind == "value" or not part.isascii():
        return "?"
    strange = kind == "name" and (len(part) > MAX_IDENTIFIER or _DIGITS.search(part))
    return "?" if strange else part
