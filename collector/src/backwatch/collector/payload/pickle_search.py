"""Globals of a pickle by their look, where it is too long to be followed opcode by opcode.

Where an opcode begins is not known here, and any long text may hold what looks like one ("tacos" and "pizza" on two
lines): only the modules known from exploits count, and on lines only what they hold. The patterns run over the bytes
in reverse, since it is the end that shows a global: two lines, or STACK_GLOBAL. So a crowd of beginnings costs
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
"""Modules that exploits use on their way, and apps as well: to import of them alone is not called hostile."""
NOTORIOUS: Final = frozenset(name.partition(".")[0] for name in (*PREFIXES, *FUNCTIONS)) - {"?"} | _ASSISTING
"""Modules known from exploits."""
MAX_FOUND: Final = 128


def _one_of(words: frozenset[bytes]) -> bytes:
    """A pattern for the words that looks at each byte once: branches only where they differ."""
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
    """A pattern for a text, its length told in one byte or four, or as a line; or for what is fetched from the memo."""
    return _MEMO + rb"(?:" + word + rb"(?:(.)\x8c|\x00{3}(.)X)|\n" + word + rb"V|(.)h)"


@cache
def _patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Two lines, and STACK_GLOBAL; compiled at their first use: six milliseconds that few apps need."""
    return (
        re.compile(rb"\n" + _NAME + rb"(?=\n" + _MODULE + rb"[ci]([A-Za-z]?))"),
        re.compile(rb"\x93" + _text(_NAME) + _text(_MODULE), re.DOTALL),
    )


def find_likely_globals(window: bytes, memo: Callable[[int], str]) -> dict[str, None]:
    """``module.name`` of the globals that the bytes seem to import, in no order.

    Args:
        window: A part of a pickle.
        memo: Gives the text that the program has kept under a number, or an empty one.

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
        name, module = _told(parts[:5], memo), _told(parts[5:], memo)
        if name and module.partition(".")[0] in NOTORIOUS:
            found[f"{module}.{name}"] = None
    return found


def _holds(module: str, name: str, *, otherwise: bool) -> bool:
    """Whether a module has such a name: looked up where it is loaded, never loaded for it."""
    loaded = sys.modules.get(module)
    return name.partition(".")[0] in vars(loaded) if isinstance(loaded, ModuleType) else otherwise


def _told(parts: Sequence[bytes | None], memo: Callable[[int], str]) -> str:
    counted, short, long, line, key = parts
    if counted:
        length = short or long or b""
        return _forwards(counted) if length == bytes((len(counted),)) else ""
    return _forwards(line) if line else memo(key[0]) if key else ""


def _forwards(word: bytes) -> str:
    return word[::-1].decode("ascii", "replace")
