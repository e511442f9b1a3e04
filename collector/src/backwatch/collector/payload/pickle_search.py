"""A search for globals in a pickle that is too long to be followed opcode by opcode.

The search does not know where opcodes begin, and any long text may contain what looks like one ("tacos" and "pizza" on
two lines). So only modules known from exploits count, and on lines only names that they have. The patterns run over the
bytes in reverse, because a global is recognised by its end: two lines, or STACK_GLOBAL. So many beginnings cost
nothing, and the work is linear.
"""

import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from types import ModuleType
from typing import Final

from backwatch.collector.payload.hostile_globals import FUNCTIONS, PREFIXES

_ASSISTING: Final = frozenset(("copyreg", "threading", "unittest"))
"""Modules that exploits use as intermediate steps, but apps, too: importing them alone is not hostile."""
NOTORIOUS: Final = frozenset(name.partition(".")[0] for name in (*PREFIXES, *FUNCTIONS)) - {"?"} | _ASSISTING
"""Modules known from exploits."""
MAX_FOUND: Final = 128


def _one_of(words: frozenset[bytes]) -> bytes:
    """Return a pattern for the words that reads each byte once: it branches only where they differ."""
    branches = [
        re.escape(letter) + _one_of(frozenset(word[1:] for word in words if word[:1] == letter))
        for letter in sorted({word[:1] for word in words if word})
    ]
    if not branches:
        return b""
    return b"(?:" + b"|".join(branches) + b")" + (b"?" if b"" in words else b"")


_NAME: Final = rb"([\w.]{1,120})"
_MODULE: Final = rb"((?:\w{1,40}\.){0,3}" + _one_of(frozenset(word.encode()[::-1] for word in NOTORIOUS)) + rb")"
_MEMO: Final = rb"(?:\x94|.q)?"


def _text(word: bytes) -> bytes:
    """Return a pattern for a text with a length of one or four bytes, for a line, or for a reference to the memo."""
    return _MEMO + rb"(?:" + word + rb"(?:(.)\x8c|\x00{3}(.)X)|\n" + word + rb"V|(.)h)"


@cache
def _patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return the patterns of two lines and of STACK_GLOBAL. Compiling them takes 6 ms, which few apps need."""
    return (
        re.compile(rb"\n" + _NAME + rb"(?=\n" + _MODULE + rb"[ci]([A-Za-z]?))"),
        re.compile(rb"\x93" + _text(_NAME) + _text(_MODULE), re.DOTALL),
    )


def find_likely_globals(window: bytes, memo: Callable[[int], str]) -> dict[str, None]:
    """Return ``module.name`` of the globals that the bytes seem to import, unordered.

    Args:
        window: A part of a pickle.
        memo: Returns the text that the program has stored under a number, or an empty one.

    >>> list(find_likely_globals(b"N0N0cos\\nsystem\\n(S'id'\\ntR.", str))
    ['os.system']
    """
    backwards = window[::-1]
    found: dict[str, None] = {}
    lines, stack_global = _patterns()
    for match in islice(lines.finditer(backwards), MAX_FOUND):
        name, module = _forwards(match[1]), _forwards(match[2])
        if _holds(module, name, otherwise=not match[3]):
            found[f"{module}.{name}"] = None
    for match in islice(stack_global.finditer(backwards), MAX_FOUND):
        parts = match.groups()
        name, module = _text_of(parts[:5], memo), _text_of(parts[5:], memo)
        if name and module.partition(".")[0] in NOTORIOUS:
            found[f"{module}.{name}"] = None
    return found


def _holds(module: str, name: str, *, otherwise: bool) -> bool:
    """Return whether a module has such a name, if the module is loaded; it is never loaded for this."""
    loaded = sys.modules.get(module)
    return name.partition(".")[0] in vars(loaded) if isinstance(loaded, ModuleType) else otherwise


def _text_of(parts: Sequence[bytes | None], memo: Callable[[int], str]) -> str:
    counted, short, long, line, key = parts
    if counted:
        length = short or long or b""
        return _forwards(counted) if length == bytes((len(counted),)) else ""
    return _forwards(line) if line else memo(key[0]) if key else ""


def _forwards(word: bytes) -> str:
    return word[::-1].decode("ascii", "replace")
