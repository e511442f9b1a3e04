"""Who called: the first frame of the app's own code, found by walking the stack from the driver outwards.

The app's own code is what lies neither in ``site-packages`` or ``dist-packages``, nor in the standard library, nor in
this package. What is known of a code object is remembered: a call in a loop costs one dictionary look-up per frame.
"""

import os
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from backwatch.collector.runtime.record import CallSite

MAX_FRAMES: Final = 200
MAX_FILE: Final = 200
MAX_FUNCTION: Final = 120
MAX_REMEMBERED: Final = 8192
"""Code objects and lines remembered; then all is forgotten, so that generated code cannot fill the app's memory."""


class _Place:
    """What is known of one code object. It keeps the object alive, or its address could come to name another."""

    __slots__ = ("code", "file", "function", "lines")

    def __init__(self, code: CodeType, function: str, file: str) -> None:
        self.code = code
        self.function = function
        self.file = file
        self.lines: dict[int, CallSite] = {}


_known: dict[int, _Place] = {}
_remembered = 0
_roots: list[str] = []


def _prefixes() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    own = [paths.get("stdlib", ""), paths.get("platstdlib", ""), str(Path(__file__).parents[1])]
    own += [str(Path(path).resolve()) for path in own if path]
    return tuple({path.rstrip("/") + "/" for path in own if path})


# Now and not at the first call: it imports, and an import on the app's thread must not meet a fork.
_foreign: Final = _prefixes()


_began_in = ""


def _here() -> str:
    """The working directory; empty where it has been deleted."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""
    except Exception:  # noqa: BLE001  what guards the app's event loop (blockbuster) lets nobody ask there
        return _began_in


def _app_roots() -> list[str]:
    """The folders that file names are told relative to: the working directory, then the script's."""
    here = _here()
    roots = [here] if here else []
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(script, str):
        roots.append(os.path.dirname(os.path.join(here or "/", script)))  # noqa: PTH118, PTH120  Path would ask again
    return [root.rstrip("/") + "/" for root in roots if root != "/"]


_began_in = _here()


def _relative(file: str) -> str:
    global _roots
    if not _roots:
        _roots = _app_roots()
    for root in _roots:
        if file.startswith(root):
            file = file[len(root) :]
            break
    return file if len(file) <= MAX_FILE else "…" + file[-MAX_FILE + 1 :]


def _is_the_apps(file: str, frame: FrameType) -> bool:
    if file.startswith("<"):
        # Code from a string: the app's own only where it is the program itself (python -c, the prompt).
        return frame.f_globals.get("__name__") == "__main__" and not file.startswith("<frozen")
    if "site-packages/" in file or "dist-packages/" in file:
        return False
    return not file.startswith(_foreign)


def _learn(frame: FrameType) -> _Place:
    global _remembered
    code = frame.f_code
    file = code.co_filename
    if _is_the_apps(file, frame):
        place = _Place(code, code.co_qualname[-MAX_FUNCTION:], _relative(file))
    else:
        place = _Place(code, "", "")
    if _remembered >= MAX_REMEMBERED:
        clear_cache()
    _known[id(code)] = place
    _remembered += 1
    return place


def clear_cache() -> None:
    """Forgets all code objects and the folders that names are relative to."""
    global _remembered, _roots
    _known.clear()
    _roots = []
    _remembered = 0


def _awaiting() -> FrameType | None:
    """Where a stack goes on that ends in SQLAlchemy's greenlet: in the coroutine that waits for its outcome."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    current = greenlet.getcurrent()
    # Only there: under gevent the parent is the hub, or whoever waits for all the others.
    return current.parent.gr_frame if type(current).__name__ == "_AsyncIoGreenlet" else None


def find_call_site(skip: int = 1) -> CallSite | None:
    """The app's own frame that led here; ``None`` where none of the app's code is on the stack.

    About half a microsecond for a stack that has been seen before.

    Args:
        skip: How many frames, this one among them, are known to be ours and need not be looked at.
    """
    global _remembered
    frame: FrameType | None = sys._getframe(skip)
    ended = False
    for _ in range(MAX_FRAMES):
        if frame is None:
            frame, ended = None if ended else _awaiting(), True
            if frame is None:
                return None
        place = _known.get(id(frame.f_code)) or _learn(frame)
        if place.file:
            line = frame.f_lineno or 0
            site = place.lines.get(line)
            if site is None:
                site = place.lines[line] = CallSite(place.function, place.file, line)
                _remembered += 1
            return site
        frame = frame.f_back
    return None
