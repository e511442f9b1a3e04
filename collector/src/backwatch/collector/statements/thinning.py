"""Makes a long statement cheap to scan: so many tokens are looked at, and long runs of values are read as short ones.

A text of 64 KiB may hold as many tokens, which Python's own loop would take a tenth of a second for, on the app's
thread. What the app says of a text longer than ``spec.SENT_BYTES`` is therefore what it says of the thinned one: of a
long run of values (or of rows of them) its first few, for lists and rows are folded anyway; and where even so there
are too many tokens, the head, a mark and the tail, which counts as cut. No text so short that it could be a redacted
one is thinned.
"""

import re
from functools import cache
from typing import Final

from backwatch.collector.statements import spec, tokens

HEAD_TOKENS: Final = 2_048
TAIL: Final = 1_024
"""Characters."""
_RUN, _RUN_KEPT = 64, 32
_ROWS, _ROWS_KEPT = 4, 3
_OF_RUN, _OF_ROWS = 1, 2
"""Groups of the pattern, before those of the tokens."""


def _repeated(one: str, blank: str, count: str) -> str:
    return f"(?:{one}{blank},{blank}){{{count}}}+"


@cache
def _patterns(dialect: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Tokens and runs; the part of a run that is kept; the part of rows."""
    d = spec.DIALECTS[dialect]
    letters, _, more = tokens.letters(d)
    blank = f"[{letters}]*+"
    word = rf"(?:NULL|null|DEFAULT|default|TRUE|true|FALSE|false)(?![{more}])"
    cast = r"(?:::[A-Za-z_][A-Za-z0-9_]*+)?+"
    value = rf"(?:'[^'\\]*+'(?!')|-?+[0-9]++(?:\.[0-9]++)?+(?![{more}.])|{word}|(?:{tokens.params(d)})){cast}"
    row = rf"\({blank}{value}(?:{blank},{blank}{value})*+{blank}\)"
    found = f"({_repeated(value, blank, f'{_RUN},')})|({_repeated(row, blank, f'{_ROWS},')})"
    return (
        re.compile(f"{blank}(?:{found}|{tokens.alternatives(d)})", re.DOTALL),
        re.compile(_repeated(value, blank, str(_RUN_KEPT))),
        re.compile(_repeated(row, blank, str(_ROWS_KEPT))),
    )


def thinned(text: str, dialect: str) -> tuple[str, bool]:
    """The text as it is scanned, and whether more than values was left out. Linear.

    Args:
        text: As ``tokens.bounded`` gave it.
        dialect: One of ``spec.DIALECTS``.
    """
    if len(text) <= spec.SENT_BYTES:
        return text, False
    pattern, *kept_of = _patterns(dialect)
    kept: list[str] = []
    start = position = count = 0  # from ``start`` on nothing is kept yet
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
                return _cut(kept, text, start, match.end())
        else:
            break
        if kind in (spec.END, spec.UNENDED):
            break
        position = tokens.close(text, *match.span(group))[1]
        count += 1
        if count >= HEAD_TOKENS and len(text) - position > TAIL:
            return _cut(kept, text, start, position)
    return f"{''.join(kept)}{text[start:]}", False


def _cut(kept: list[str], text: str, start: int, end: int) -> tuple[str, bool]:
    return f"{''.join(kept)}{text[start:end]} {spec.MARK} {text[-TAIL:]}", True
