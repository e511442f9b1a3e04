"""Thinning of long statements: a bounded number of tokens, with long runs of values shortened.

A text of 64 KiB may hold as many tokens, which would take 0.1 s in a Python loop on the app's thread. So for a text
longer than ``spec.SENT_BYTES`` the collector reports the redacted form of the thinned text. Of a long run of values (or
of rows) it keeps the first few, because lists and rows are folded anyway. If there are still too many tokens, it keeps
the head, a mark and the tail, and the text counts as cut. The tail begins at a token: the inside of a literal must
never be read as code. A text longer than the scanned part has no tail, only the mark. A text that is short enough to be
a redacted one is never thinned.
"""

import re
from functools import cache
from typing import Final

from backwatch.collector.statements import spec, tokens

HEAD_TOKENS: Final = 2_048
TAIL: Final = 1_024
"""Characters."""
_STRIDE: Final = 64
"""Tokens skipped at once on the way to the tail."""
_MOST_STEPS: Final = 8_192
"""Steps on that way; a text that needs more has no tail."""
_OPENING: Final = frozenset("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\uff02\uff07")
"""Typographic quotes: an unclosed one is read as a letter."""
_ESCAPED: Final = ("E", "e")
_RUN, _RUN_KEPT = 64, 32
_ROWS, _ROWS_KEPT = 4, 3
_OF_RUN, _OF_ROWS = 1, 2
"""Groups of the pattern that precede those of the tokens."""


def _repeat_pattern(item: str, blank: str, count: str) -> str:
    return f"(?:{item}{blank},{blank}){{{count}}}+"


@cache
def _patterns(dialect: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of tokens and runs, of the kept part of a run, and of the kept rows."""
    d = spec.DIALECTS[dialect]
    letters, _, more = tokens.letters(d)
    blank = f"[{letters}]*+"
    word = rf"(?:NULL|null|DEFAULT|default|TRUE|true|FALSE|false)(?![{more}])"
    cast = r"(?:::[A-Za-z_][A-Za-z0-9_]*+)?+"
    value = rf"(?:'[^'\\]*+'(?!')|-?+[0-9]++(?:\.[0-9]++)?+(?![{more}.])|{word}|(?:{tokens.params(d)})){cast}"
    row = rf"\({blank}{value}(?:{blank},{blank}{value})*+{blank}\)"
    found = f"({_repeat_pattern(value, blank, f'{_RUN},')})|({_repeat_pattern(row, blank, f'{_ROWS},')})"
    return (
        re.compile(f"{blank}(?:{found}|{tokens.alternatives(d)})", re.DOTALL),
        re.compile(_repeat_pattern(value, blank, str(_RUN_KEPT))),
        re.compile(_repeat_pattern(row, blank, str(_ROWS_KEPT))),
    )


@cache
def _skip_patterns(dialect: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of many tokens and of one token."""
    d = spec.DIALECTS[dialect]
    token = f"(?:[{tokens.letters(d)[0]}]*+(?:{tokens.closed_pattern(d)}))"
    return re.compile(f"{token}{{0,{_STRIDE}}}+", re.DOTALL), re.compile(f"{token}?+", re.DOTALL)


def scan_thinned(text: str, dialect: str) -> tuple[str, list[tokens.Token], bool]:
    """Return the scanned text, its tokens, and whether more than values was left out. Linear.

    Args:
        text: Any.
        dialect: One of ``spec.DIALECTS``.
    """
    head, cut = tokens.cut_head(text)
    shown, thinned = thin(head, dialect, tail=not cut)
    found = tokens.tokenize(shown, dialect)
    if cut and not thinned:
        found = _close_literal(shown, found, escapes=spec.DIALECTS[dialect].dollar_quoted)
        found.append((spec.WORD, len(shown) + 1, len(shown) + 1 + len(spec.MARK)))
        shown = f"{shown} {spec.MARK}"
    return shown, found, cut or thinned


def _close_literal(text: str, found: list[tokens.Token], *, escapes: bool) -> list[tokens.Token]:
    """Return the tokens of a cut text: the literal at the cut is a string, not an unbalanced quote.

    Args:
        text: The text up to the cut.
        found: The tokens as if the text ended there.
        escapes: True if ``E'…'`` is a separate kind of string.
    """
    for at, (kind, start, end) in enumerate(found):
        opens = kind == spec.WORD and (
            text[start] in _OPENING or (escapes and text[start:end] in _ESCAPED and text.startswith("'", end))
        )
        if opens or kind == spec.UNENDED:
            return [*found[:at], (spec.STRING, start, len(text))]
    return found


def thin(text: str, dialect: str, *, tail: bool = True) -> tuple[str, bool]:
    """Return the text to scan, and whether more than values was left out. Linear.

    Args:
        text: A result of ``tokens.cut_head``.
        dialect: One of ``spec.DIALECTS``.
        tail: True to keep the tail of a text that is cut.
    """
    if len(text) <= spec.SENT_BYTES:
        return text, False
    pattern, *kept_of = _patterns(dialect)
    kept: list[str] = []
    start = position = count = 0  # the text before ``start`` is in ``kept``
    while True:
        for match in pattern.finditer(text, position):
            group = match.lastindex or 0
            if group <= _OF_ROWS:
                of_run = kept_of[group - 1].match(text, match.start(group))
                kept.append(text[start : of_run.end() if of_run else match.end()])
                start = match.end()
                count += _RUN_KEPT
                continue
            kind = tokens.KIND_OF[group - _OF_ROWS]
            if kind >= spec.OPEN and kind != spec.OP:
                break
            count += 1
            if count >= HEAD_TOKENS and len(text) - match.end() > TAIL:
                return _cut(kept, text, start, match.end(), dialect, tail=tail)
        else:
            break
        if kind in (spec.END, spec.UNENDED):
            break
        position = tokens.find_token_end(text, *match.span(group))[1]
        count += 1
        if count >= HEAD_TOKENS and len(text) - position > TAIL:
            return _cut(kept, text, start, position, dialect, tail=tail)
    return f"{''.join(kept)}{text[start:]}", False


def _cut(kept: list[str], text: str, start: int, end: int, dialect: str, *, tail: bool) -> tuple[str, bool]:
    last = text[_tail(text, end, dialect) :] if tail else ""
    return f"{''.join(kept)}{text[start:end]} {spec.MARK} {last}", True


def _tail(text: str, position: int, dialect: str) -> int:
    """Return the start of the first token within the last ``TAIL`` characters; ``position`` is a token's end."""
    many_tokens, one_token = _skip_patterns(dialect)
    search, kind_of, close = _patterns(dialect)[0].match, tokens.KIND_OF, tokens.find_token_end
    aim = len(text) - TAIL
    for _ in range(_MOST_STEPS):
        if position >= aim:
            return position
        passed = many_tokens.match(text, position)
        end = passed.end() if passed else position
        if end == position:  # a token whose end no pattern finds
            found = search(text, position)
            group = (found.lastindex or 0) - _OF_ROWS if found else 0
            if found is None or group <= 0 or kind_of[group] != spec.OPEN:
                break
            position = close(text, *found.span(group + _OF_ROWS))[1]
            continue
        if end >= aim and (passed := one_token.match(text, position)):
            end = passed.end()
        position = end
    return len(text)
