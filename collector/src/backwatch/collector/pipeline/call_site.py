"""The call site: the function of the app that made the call, and the path of the app's own calls to it.

The app's own code lies neither in ``site-packages`` or ``dist-packages``, nor in the standard library, nor in this
package, nor beyond a frame of what serves the app (``runners.py``). A function that only passes a statement on, which
it was given as an argument, is no call site: its caller is.

Results are cached per code object and instruction: a call in a loop costs one dictionary lookup per frame.
"""

import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from backwatch.collector.pipeline.passed_statement import is_passed_on
from backwatch.collector.pipeline.runners import is_runner
from backwatch.collector.pipeline.source_files import relative_file
from backwatch.collector.runtime.record import CallSite

MAX_FRAMES: Final = 200
MAX_FUNCTION: Final = 120
MAX_PATH: Final = 400
MAX_REMEMBERED: Final = 8192
"""Cached code objects, instructions and call sites; a full cache is cleared, so that generated code cannot fill the
app's memory."""
_COMPREHENSIONS: Final = (".<locals>.<listcomp>", ".<locals>.<setcomp>", ".<locals>.<dictcomp>", ".<locals>.<genexpr>")
"""Frames of their own before Python 3.12: their function is the call site."""
_ATTACHING: Final = "/backwatch/resource/"
"""Opens services for apps; its subclasses of drivers lie outside of ``site-packages`` in a development install."""
_LIBRARY, _RUNNER, _APP = range(3)
"""Kinds of code. That of a library is false."""


class _Location:
    """An instruction of the app's own code that calls something."""

    __slots__ = ("function", "label", "line", "passes_on", "sites", "source")

    def __init__(self, function: str, source: str, line: int, *, passes_on: bool) -> None:
        self.function = function
        self.source = source
        self.line = line
        self.label = f"{source}:{function}"
        self.passes_on = passes_on
        """The function was given the statement as an argument."""
        self.sites: dict[tuple[_Location | None, int, int], tuple[CallSite, CodeType | None]] = {}
        """Call sites by the helper, and by the caller's code object, which is kept alive, and its instruction."""


class _CodeInfo:
    """Cached data of one code object. It keeps the object alive, because its address is the cache key."""

    __slots__ = ("code", "function", "kind", "locations", "source")

    def __init__(self, code: CodeType, kind: int, function: str = "", source: str = "") -> None:
        self.code = code
        self.kind = kind
        self.function = function
        self.source = source
        self.locations: dict[int, _Location] = {}


_known: dict[int, _CodeInfo] = {}
_remembered = 0


def _prefixes() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    own = [paths.get(kind, "") for kind in ("stdlib", "platstdlib")] + [str(Path(__file__).parents[1])]
    own += [str(Path(path).resolve()) for path in own if path]
    return tuple({path.rstrip("/") + "/" for path in own if path})


# At import and not at the first call: it imports modules, and a fork must not interrupt an import on the app's thread.
_EXCLUDED: Final = _prefixes()


def _kind_of(file: str, frame: FrameType) -> int:
    if file.startswith("<"):
        # Code from a string is the app's own only if it is the program itself (python -c, the prompt).
        is_program = frame.f_globals.get("__name__") == "__main__" and not file.startswith("<frozen")
        return _APP if is_program else _LIBRARY
    if "site-packages/" in file or "dist-packages/" in file or _ATTACHING in file or file.startswith(_EXCLUDED):
        return _RUNNER if is_runner(file) else _LIBRARY
    # The start script that an installer has made of an entry point; functions of the app's own scripts remain.
    path = Path(file)
    is_start_script = frame.f_code.co_name == "<module>" and path.parent.name == "bin" and not path.suffix
    return _LIBRARY if is_start_script else _APP


def _learn(frame: FrameType) -> _CodeInfo:
    global _remembered
    code = frame.f_code
    kind = _kind_of(code.co_filename, frame)
    if kind == _APP:
        function = code.co_qualname
        for suffix in _COMPREHENSIONS:
            function = function.removesuffix(suffix)
        info = _CodeInfo(code, kind, function[-MAX_FUNCTION:], relative_file(code.co_filename, frame.f_globals))
    else:
        info = _CodeInfo(code, kind)
    if _remembered >= MAX_REMEMBERED:
        clear_cache()
    _known[id(code)] = info
    _remembered += 1
    return info


def _locate(info: _CodeInfo, frame: FrameType, sql: object) -> _Location:
    global _remembered
    location = _Location(info.function, info.source, frame.f_lineno or 0, passes_on=is_passed_on(frame, sql))
    info.locations[frame.f_lasti] = location
    _remembered += 1
    return location


def clear_cache() -> None:
    """Forget all code objects."""
    global _remembered
    _known.clear()
    _remembered = 0


def _awaiting_frame() -> FrameType | None:
    """Return the frame of the coroutine that waits for SQLAlchemy's greenlet, in which the stack ended."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    current = greenlet.getcurrent()
    # Only SQLAlchemy's: under gevent the parent is the hub, or a greenlet that waits for all the others.
    return current.parent.gr_frame if type(current).__name__ == "_AsyncIoGreenlet" else None


def find_call_site(skip: int = 1, sql: object = None) -> CallSite | None:
    """Return the innermost frame of the app's own code that does more than pass a statement on; ``None``: none.

    Takes less than 1 µs for a stack that has been seen before.

    Args:
        skip: Frames, including this one, that are known to belong to the collector.
        sql: The raw statement, if the call has one.
    """
    frame: FrameType | None = sys._getframe(skip)
    ended = False
    helper: _Location | None = None
    for _ in range(MAX_FRAMES):
        if frame is None:
            frame, ended = None if ended else _awaiting_frame(), True
            if frame is None:
                break
        info = _known.get(id(frame.f_code)) or _learn(frame)
        if info.kind:
            if info.kind == _RUNNER:
                break
            location = info.locations.get(frame.f_lasti) or _locate(info, frame, sql)
            if location.passes_on:
                helper = helper or location
            else:
                caller = frame.f_back
                key = (helper, 0, 0) if caller is None else (helper, id(caller.f_code), caller.f_lasti)
                known = location.sites.get(key)
                return known[0] if known is not None else _add_site(location, key, caller)
        frame = frame.f_back
    return None if helper is None else CallSite(helper.function, helper.source, helper.line)


def _add_site(location: _Location, key: tuple[_Location | None, int, int], caller: FrameType | None) -> CallSite:
    global _remembered
    labels = [location.label]
    if caller is not None:
        info = _known.get(id(caller.f_code)) or _learn(caller)
        label = f"{info.source}:{info.function}"
        if info.kind == _APP and label != location.label:  # else it is a recursion, of any depth
            labels.insert(0, label)
    if key[0] is not None:
        labels.append(key[0].label)
    path = " > ".join(labels)[-MAX_PATH:] if len(labels) > 1 else ""
    site = CallSite(location.function, location.source, location.line, path)
    location.sites[key] = site, None if caller is None else caller.f_code
    _remembered += 1
    return site
