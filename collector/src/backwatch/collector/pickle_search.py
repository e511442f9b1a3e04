"""Globals of a pickle by their look, where it is too long to be followed opcode by opcode.

Where an opcode begins is not known here, and any long text may hold what looks like one ("tacos" and "pizza" on two
lines): only the modules known from exploits count, and on lines only what they hold. The patterns run over the bytes
in reverse, since it is the end that shows a global: two lines, or STACK_GLOBAL. So a crowd of beginnings costs
nothing, and the work is linear.
"""

import re
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from types import ModuleType
from typing import Final

NOTORIOUS: Final = frozenset((
    "__builtin__", "_aix_support", "_ctypes", "_functools", "_imp", "_io", "_operator", "_osx_support", "_pickle",
    "_posixsubprocess", "_socket", "_sqlite3", "_winapi", "asyncio", "bdb", "builtins", "cProfile", "code",
    "codeop", "commands", "copyreg", "ctypes", "distutils", "doctest", "ensurepip", "fileinput", "ftplib",
    "functools", "http", "idlelib", "imp", "importlib", "inspect", "io", "joblib", "lib2to3", "linecache",
    "logging", "marshal", "multiprocessing", "nt", "numpy", "operator", "os", "pandas", "pdb", "pickle", "pip",
    "pkgutil", "platform", "popen2", "posix", "profile", "pty", "pydoc", "requests", "runpy", "shutil", "signal",
    "smtplib", "socket", "sqlite3", "subprocess", "sys", "tempfile", "test", "threading", "timeit", "torch",
    "trace", "types", "unittest", "urllib", "uuid", "venv", "webbrowser", "yaml", "zipimport",
))  # fmt: skip
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
_GLOBAL: Final = re.compile(rb"\n" + _NAME + rb"(?=\n" + _MODULE + rb"[ci]([A-Za-z]?))")
_MEMO: Final = rb"(?:\x94|.q)?"


def _text(word: bytes) -> bytes:
    """A pattern for a text, its length told in one byte or four, or as a line; or for what is fetched from the memo."""
    return _MEMO + rb"(?:" + word + rb"(?:(.)\x8c|\x00{3}(.)X)|\n" + word + rb"V|(.)h)"


_STACK_GLOBAL: Final = re.compile(rb"\x93" + _text(_NAME) + _text(_MODULE), re.DOTALL)


def likely_globals(window: bytes, memo: Callable[[int], str]) -> dict[str, None]:
    """``module.name`` of the globals that the bytes seem to import, in no order.

    Args:
        window: A part of a pickle.
        memo: Gives the text that the program has kept under a number, or an empty one.

    >>> list(likely_globals(b"N0N0cos\\nsystem\\n(S'id'\\ntR.", str))
    ['os.system']
    """
    backwards = window[::-1]
    found: dict[str, None] = {}
    for match in islice(_GLOBAL.finditer(backwards), MAX_FOUND):
        name, module = _forwards(match[1]), _forwards(match[2])
        if _holds(module, name, otherwise=not match[3]):
            found[f"{module}.{name}"] = None
    for match in islice(_STACK_GLOBAL.finditer(backwards), MAX_FOUND):
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
