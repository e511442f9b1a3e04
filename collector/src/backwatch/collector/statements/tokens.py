"""A tokenizer with one generated alternation per dialect, linear for any text.

Every repeat is possessive, so no character is read twice by one alternative; the three forms that no regular
expression can close (nested comments, ``$tag$`` and ``q'[``) are found by their opening and closed by ``str.find``.
Nothing here raises on any text: broken UTF-16, NUL and half a statement included.
"""

import re
from functools import cache
from typing import Final

from backwatch.collector.statements.spec import (
    COMMENT,
    CURLY,
    DIALECTS,
    END,
    EXEC_CLOSE,
    EXEC_OPEN,
    MARK,
    NUMBER,
    OP,
    OPEN,
    PARAM,
    QUOTED,
    SCAN_BYTES,
    SCAN_HEAD_BYTES,
    STRING,
    UNENDED,
    WORD,
    Dialect,
)

Token = tuple[int, int, int]
"""Kind (``spec.KINDS``), start and end."""

_NEVER = "(?!)"
_CURLY = (
    "[\u2018-\u201b][^\u2018-\u201b]*+[\u2018-\u201b]|[\u201c-\u201f][^\u201c-\u201f]*+[\u201c-\u201f]"
    "|\uff07[^\uff07]*+\uff07|\uff02[^\uff02]*+\uff02"
)
_NUMBER = (
    r"0[xX][0-9a-fA-F]++|0[bB][01]++|0[oO][0-7]++"
    r"|(?:[0-9]++(?:_[0-9]++)*+(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"
)
_PLAIN = "'[^']*+(?:''[^']*+)*+'"
_ESCAPED = r"'[^'\\]*+(?:(?:''|\\.)[^'\\]*+)*+'"
_BLOCK = r"\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|\Z)"


def _doubled_pattern(quote: str) -> str:
    return f"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"


def _any(*alternatives: str | None) -> str:
    return "|".join(alternative for alternative in alternatives if alternative) or _NEVER


def _strings(d: Dialect) -> str:
    if d.backslash:
        escaped_double = _ESCAPED.replace("'", '"') if d.double_string else None
        return _any(f"[nNxXbB]?+{_ESCAPED}", escaped_double)
    if d.dollar_quoted:
        return _any(f"[eE]{_ESCAPED}", f"(?:[nNxXbB]|[uU]&)?+{_PLAIN}")
    return f"[nNxXbB]?+{_PLAIN}"


def _quoted_pattern(d: Dialect) -> str:
    bracket = (r"\[[^\]]*+(?:\]\][^\]]*+)*+\]" if d.bracket_doubled else r"\[[^\]]*+\]") if d.bracket else None
    return _any(
        None if d.double_string else _doubled_pattern('"'),
        _doubled_pattern("`") if d.backtick else None,
        bracket,
    )


def _comments(d: Dialect) -> str:
    line = r"[^\r\n]*+" if d.return_ends else r"[^\n]*+"
    dashes = r"--(?=[\x00-\x20\x7f]|\Z)" if d.dash_blank else "--"
    block = "/" + (r"(?!\*M?+!)" if d.executable else "") + _BLOCK
    return _any(dashes + line, "#" + line if d.hash_comment else None, r"/\*[^*/]*+\*/" if d.nested else block)


def params(d: Dialect) -> str:
    """Return an alternation of the placeholders for parameters."""
    _, start, more = letters(d)
    name = f"[{start}][{more}]*+"
    return _any(
        r"\?[0-9]*+",
        rf"%s(?![{more}])|%\([A-Za-z0-9_]++\)s" if d.percent_name else None,
        rf"\$[{more}]++" if d.dollar_name else None,
        r"\$[0-9]++(?:\.[0-9]*+)?+" if d.dollar_number and not d.dollar_name else None,
        rf":(?:{name}|[0-9]++)" if d.colon_name else None,
        f"@{name}" if d.at_name else None,
    )


def letters(d: Dialect) -> tuple[str, str, str]:
    """Return the contents of three character classes: blanks, first and further characters of words."""
    blank = r"\x00-\x20\x7f" + ("\u00a0\u3000" if d.wide_blank else "")
    high = "\x80-\x9f\u00a1-\u2fff\u3001-\U0010ffff" if d.wide_blank else "\x80-\U0010ffff"
    start = "A-Za-z_" + high
    return blank, start, start + "0-9$" + ("#@" if d.hash_word else "")


def _groups(d: Dialect) -> tuple[tuple[int, str], ...]:
    """Return the alternatives with their kinds, the most frequent tokens first."""
    _, start, more = letters(d)
    tag = more.replace("$", "")
    alternative = "[nN]?+[qQ]'[!-~]" if d.alternative_quoted else _NEVER
    return (
        (WORD, f"(?!{alternative})[A-Za-z_](?!['&])[{more}]*+"),
        (OP, r"[,()=;]|\.(?![0-9])"),
        (STRING, _strings(d)),
        (NUMBER, _NUMBER),
        (QUOTED, _quoted_pattern(d)),
        (EXEC_OPEN, r"/\*M?+!(?:[0-9]{5,6}+)?+" if d.executable else _NEVER),
        (EXEC_CLOSE, r"\*/" if d.executable else _NEVER),
        (COMMENT, _comments(d)),
        (CURLY, _CURLY),
        (WORD, _any("##?+" + f"[{start}][{more}]*+" if d.hash_word else None,
                    f"@@[{start}][{more}]*+" if d.at_at else None, f"(?!{alternative})[{start}][{more}]*+")),
        (PARAM, params(d)),
        (OPEN, _any(r"/\*" if d.nested else None, rf"\$(?:[{start}][{tag}]*+)?+\$" if d.dollar_quoted else None,
                    alternative if d.alternative_quoted else None)),
        (UNENDED, _any("'", '"', "`" if d.backtick else None, r"\[" if d.bracket else None)),
        (OP, "::|."),
        (END, r"\Z"),
    )  # fmt: skip


def alternatives(d: Dialect) -> str:
    """Return one group for each alternative, in the order of ``KIND_OF``."""
    return "|".join(f"({one})" for _, one in _groups(d))


def closed_pattern(d: Dialect) -> str:
    """Return an alternation of the tokens whose end a pattern finds: no nested comments, no ``$tag$``."""
    stops = "|".join(one for kind, one in _groups(d) if kind in (OPEN, UNENDED))
    found = [one for kind, one in _groups(d) if kind not in (OPEN, UNENDED, END)]
    return "|".join((*found[:-1], f"(?!{stops})(?:{found[-1]})"))


@cache
def pattern_of(dialect: str) -> re.Pattern[str]:
    """Return the tokens' alternation, compiled at its first use: all dialects together cost 90 ms of CPU."""
    d = DIALECTS[dialect]
    return re.compile(f"[{letters(d)[0]}]*+(?:{alternatives(d)})", re.DOTALL)


KIND_OF: Final = (END, *(kind for kind, _ in _groups(DIALECTS["other"])))
"""Kinds by the number of the matching group."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_INSIDE = r"(?:[^*/]++|/(?!\*)|\*(?!/))*+"
_NESTED: Final = re.compile(rf"(?:/\*[^*/]*+\*/{_INSIDE})++|((?:/\*(?![^*/]*+\*/){_INSIDE})++)|(?:\*/{_INSIDE})++")
"""Text that changes no depth, runs of openings, runs of closings: so that a Python loop does not visit each one."""
_CLOSES: Final = {"[": "]", "(": ")", "{": "}", "<": ">"}


def find_token_end(text: str, start: int, opened: int) -> tuple[int, int]:
    """Return kind and end of the token that opens at ``text[start:opened]`` and whose end must be searched."""
    opening = text[start:opened]
    if opening == "/*":
        return COMMENT, _close_comment(text, opened)
    closing = opening if opening[0] == "$" else _CLOSES.get(opening[-1], opening[-1]) + "'"
    end = text.find(closing, opened)
    return (UNENDED, len(text)) if end < 0 else (STRING, end + len(closing))


def _close_comment(text: str, opened: int) -> int:
    """Return the end of a comment that may contain others; ``opened`` is the position behind its ``/*``."""
    depth = 1
    for found in _NESTED.finditer(text, opened):
        if found.lastindex:
            depth += found[1].count("/*")
        elif text[found.start()] == "*":
            closed_pattern = found[0].count("*/")
            if closed_pattern >= depth:
                end = found.start()
                for _ in range(depth):
                    end = text.index("*/", end) + 2
                return end
            depth -= closed_pattern
    return len(text)


def tokenize(text: str, dialect: str) -> list[Token]:
    """Return the tokens of ``text`` without blanks. Linear; the ends are positions in ``text``."""
    found: list[Token] = []
    add = found.append
    pattern, kind_of = pattern_of(dialect), KIND_OF
    position = 0
    while True:
        for match in pattern.finditer(text, position):
            group = match.lastindex or 0
            begin, end = match.span(group)
            kind = kind_of[group]
            if kind >= OPEN and kind != OP:
                break
            add((kind, begin, end))
        else:
            return found
        if kind == END:
            return found
        if kind == UNENDED:
            add((kind, begin, len(text)))
            return found
        kind, position = find_token_end(text, begin, end)
        add((kind, begin, position))


def _encode_text(text: str) -> tuple[str, bytes]:
    """Return the text as valid Unicode, and its UTF-8."""
    try:
        return text, text.encode()
    except UnicodeEncodeError:
        text = _SURROGATES.sub("\ufffd", text)
        return text, text.encode()


def cut_head(text: str) -> tuple[str, bool]:
    """Return the scanned beginning of a text as valid Unicode, and whether the text is longer.

    Text behind it cannot be distinguished from a literal's inside without reading all text before it.
    """
    head, raw = _encode_text(text[:SCAN_BYTES])
    if len(raw) <= SCAN_BYTES:
        return head, len(text) > SCAN_BYTES
    end = SCAN_BYTES
    while raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end].decode(), True


def limit_bytes(text: str) -> tuple[str, bool]:
    """Return the scanned text as valid Unicode (head and tail if it is too long), and whether it was cut."""
    if len(text) <= SCAN_BYTES and text.isascii():
        return text, False
    text, raw = _encode_text(text)
    if len(raw) <= SCAN_BYTES:
        return text, False
    head, tail = SCAN_HEAD_BYTES, len(raw) - (SCAN_BYTES - SCAN_HEAD_BYTES)
    while raw[head] & 0xC0 == 0x80:
        head -= 1
    while tail < len(raw) and raw[tail] & 0xC0 == 0x80:
        tail += 1
    return f"{raw[:head].decode()} {MARK} {raw[tail:].decode()}", True
