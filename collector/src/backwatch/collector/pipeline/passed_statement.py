"""Functions that pass a statement on: a helper through which an app's queries go, and no call site of its own.

Arguments are looked at by their types: ``isinstance`` reads ``__class__``, which evaluates a lazy object of the app.
"""

import re
import sys
from types import CodeType, FrameType
from typing import Any, Final, cast

MIN_COMMON: Final = 12
"""Characters that an argument must have to be recognised by its beginning alone."""
COMPARED: Final = 24
"""Characters of the beginnings that must be equal: a helper may change what follows, such as placeholders."""
_STATEMENT: Final = re.compile(
    r"\s*(?:SELECT\s.{1,4000}\sFROM\s|INSERT\s+INTO\s|UPDATE\s.{1,200}\sSET\s|DELETE\s+FROM\s|WITH\s.{1,200}\sAS\s*\()",
    re.IGNORECASE | re.DOTALL,
)
READ: Final = 4_096
"""Characters of an argument that are read."""
_EXECUTABLE: Final = {
    "sqlalchemy": "_execute_on_connection", "django": "_fetch_all", "psycopg": "as_string", "psycopg2": "as_string",
}  # fmt: skip
"""What statement objects of a package have: SQLAlchemy's, Django's query sets, psycopg's composed ones."""
_OPTIMIZED: Final = 0x01
_VARIADIC: Final = 0x04
_OWNERS: Final = frozenset(("self", "cls"))
_LOCALS_READERS: Final = frozenset(("locals", "vars", "eval", "exec", "dir", "f_locals"))
"""What functions use that may hold the dictionary of their own variables. Before Python 3.13 there is one per frame:
reading it would change it, and break a loop over ``locals().items()``."""
OWN_REFERENCES: Final = 3
"""References to a dictionary that this module alone reads: the frame's, the variable's and the one of the count."""


def is_passed_on(frame: FrameType, sql: object) -> bool:
    """Return whether a function was given the statement that is sent as one of its arguments.

    No argument of the app lives longer for it.

    Args:
        frame: The function's frame.
        sql: The raw statement; ``None``: the call has none, and nothing was passed on.
    """
    if sql is None:
        return False
    code = frame.f_code
    names = _argument_names(code)
    if not names:
        return False
    text = _text(sql)
    return any(_is_statement(value, text) for value in _read(frame, names))


def _argument_names(code: CodeType) -> list[str]:
    """Return the names of arguments that may be a statement; none where the variables must not be read."""
    if not code.co_flags & _OPTIMIZED or not _LOCALS_READERS.isdisjoint(code.co_names):
        return []
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _VARIADIC)
    return [name for name in code.co_varnames[:count] if name not in _OWNERS]


def _read(frame: FrameType, names: list[str]) -> list[object]:
    """Return the values of arguments, and leave no reference to a variable behind.

    Before Python 3.13 a frame keeps the dictionary that ``f_locals`` returns, and with it each variable that the app
    deletes or rebinds later. It is emptied, unless something else holds it, such as a debugger, or a trace function
    in Python is set: after its turn Python copies the dictionary back into the variables.
    """
    given = frame.f_locals
    values = list[object]()
    for name in names:
        value = given.get(name)
        values += cast("tuple[object, ...]", value)[:8] if issubclass(type(value), tuple) else (value,)
    # From 3.13 on it is a view that keeps nothing.
    if type(given) is dict and sys.getrefcount(given) <= OWN_REFERENCES and not (sys.gettrace() or sys.getprofile()):
        given.clear()
    return values


def _text(sql: Any) -> str:
    """Return the beginning of a statement as text, without the blanks around it; empty where it is an object."""
    if issubclass(type(sql), bytes | bytearray):
        sql = bytes(sql[:READ]).decode("utf-8", "replace")
    return sql[:READ].strip() if issubclass(type(sql), str) else ""


def _is_statement(value: object, text: str) -> bool:
    """Return whether an argument is the statement.

    >>> _is_statement("SELECT name FROM pet WHERE id = %s", "SELECT name FROM pet WHERE id = ?")
    True
    >>> _is_statement("select shoes", "SELECT * FROM shoe WHERE name LIKE '%select shoes%'"), _is_statement(7, "COMMIT")
    (False, False)
    """
    if issubclass(type(value), str | bytes):
        given = _text(value)
        if not text:
            return _STATEMENT.match(given) is not None
        return text == given or (len(given) >= MIN_COMMON and text.startswith(given[:COMPARED]))
    return any(
        package in _EXECUTABLE and hasattr(base, _EXECUTABLE[package])
        for base in type(value).__mro__
        for package in (base.__module__.partition(".")[0],)
    )
