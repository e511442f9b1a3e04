"""Logs of the commands that keep running: one event is one line, as text or as JSON, and no line forges another.

Text of an app, a driver or an attacker may stand in an event. Control characters in it would end the line, move the
cursor of a terminal or recolour it: they are escaped in either format, and an event is bounded. Never used inside an
app under watch, whose logging is its own.
"""

import io
import json
import logging
import re
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from backwatch.collector.settings import LogSettings

MAX_EVENT_CHARACTERS: Final = 8_000

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, Unicode line ends, invisible characters, and characters that reorder the text around them."""


def escape(text: str, limit: int = MAX_EVENT_CHARACTERS) -> str:
    r"""Return the text on one line, with control and bidirectional characters as escapes, cut to ``limit``.

    >>> escape("a\nb\x1b[2Jc")
    'a\\nb\\x1b[2Jc'
    """
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), cut)


def format_json(level: str, logger: str, message: str, **more: Any) -> str:
    """Return one event as a line of ASCII JSON."""
    moment = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    cut = message if len(message) <= MAX_EVENT_CHARACTERS else f"{message[:MAX_EVENT_CHARACTERS]}…"
    return json.dumps({"time": moment, "level": level, "logger": logger, "message": cut, **more})


class _TextFormatter(logging.Formatter):
    """The message on one line, and the last frame of a fault in place of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return escape(f"{record.getMessage()}{_fault(record)}")


class _JsonFormatter(logging.Formatter):
    """The event as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        return format_json(record.levelname.lower(), record.name, f"{record.getMessage()}{_fault(record)}")


def _fault(record: logging.LogRecord) -> str:
    return f" ({_locate_fault(record.exc_info[1])})" if record.exc_info and record.exc_info[1] else ""


def _locate_fault(error: BaseException) -> str:
    """Return the fault's class and location; not its text, which may contain an attacker's text or a secret."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    return f"{type(error).__name__} at {places}" if places else type(error).__name__


class _JsonStream(io.TextIOBase):
    """A stream that turns every written line into an event: messages of libraries, refusals, warnings."""

    def __init__(self, to: TextIO, level: str) -> None:
        self._to = to
        self._level = level
        self._partial_line = ""
        self._lock = threading.RLock()

    encoding = "utf-8"
    errors = "backslashreplace"

    def fileno(self) -> int:
        return self._to.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._partial_line = (self._partial_line + text).split("\n")
            if len(self._partial_line) > MAX_EVENT_CHARACTERS:
                lines, self._partial_line = [*lines, self._partial_line], ""
            for line in lines:
                if line.strip():
                    level = "error" if line.startswith("Error: ") else self._level
                    self._to.write(format_json(level, "output", line.rstrip("\r")) + "\n")
            if lines:
                self._to.flush()
        return len(text)

    def flush(self) -> None:
        self._to.flush()


def configure(settings: LogSettings, command: str) -> None:
    """Make this process log in the chosen format; for a command of ``COMMANDS``, once, before it starts."""
    out = sys.stderr
    as_json = settings.format == "json"
    handler = logging.StreamHandler(out)
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
    logger = logging.getLogger("backwatch")
    logger.addHandler(handler)
    logger.setLevel(settings.level.upper())
    logger.propagate = False
    # Libraries log as without Backwatch: those that silence themselves with a handler of their own stay silent.
    last_resort = logging.StreamHandler(out)
    last_resort.setFormatter(handler.formatter)
    last_resort.setLevel(logging.WARNING)
    logging.lastResort = last_resort
    if not as_json:
        return
    sys.stderr = _JsonStream(out, "info")
    if command == "up":  # its address and folders are events, too
        sys.stdout = _JsonStream(sys.stdout, "info")

    def on_fault(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            out.write(
                format_json("critical", "backwatch", f"backwatch: ended by a fault: {_locate_fault(error)}") + "\n"
            )
            out.flush()

    def on_thread_fault(fault: threading.ExceptHookArgs) -> None:
        if fault.exc_value is not None and fault.exc_type is not SystemExit:
            out.write(
                format_json("error", "backwatch", f"backwatch: a thread ended: {_locate_fault(fault.exc_value)}") + "\n"
            )
            out.flush()

    sys.excepthook = on_fault
    threading.excepthook = on_thread_fault
