"""Functions that pass a statement on: a helper through which an app's queries go, and no call site of its own."""

import re
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Final

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
_VARIADIC: Final = 0x04
_OWNERS: Final = frozenset(("self", "cls"))


def is_passed_on(frame: FrameType, sql: object) -> bool:
    """Return whether a function was given the statement that is sent as one of its arguments.

    Args:
        frame: The function's frame.
        sql: The raw statement; ``None``: the call has none, and nothing was passed on.
    """
    code = frame.f_code
    if sql is None:  # reading a frame's variables keeps them alive until it ends: not for calls without a statement
        return False
    if not code.co_argcount and not code.co_kwonlyargcount and not code.co_flags & _VARIADIC:
        return False
    text = _text(sql)
    return any(_is_statement(value, text) for value in _arguments(code, frame))


def _arguments(code: CodeType, frame: FrameType) -> Iterator[object]:
    count = code.co_argcount + code.co_kwonlyargcount
    is_variadic = bool(code.co_flags & _VARIADIC)
    given = frame.f_locals
    for name in code.co_varnames[: count + is_variadic]:
        if name not in _OWNERS and name in given:
            value = given[name]
            yield from value[:8] if isinstance(value, tuple) else (value,)


def _text(sql: object) -> str:
    """Return the beginning of a statement as text, without the blanks around it; empty where it is an object."""
    if isinstance(sql, bytes | bytearray):
        sql = bytes(sql[:READ]).decode("utf-8", "replace")
    return sql[:READ].strip() if isinstance(sql, str) else ""


def _is_statement(value: object, text: str) -> bool:
    """Return whether an argument is the statement.

    >>> _is_statement("SELECT name FROM pet WHERE id = %s", "SELECT name FROM pet WHERE id = ?")
    True
    >>> _is_statement("select shoes", "SELECT * FROM shoe WHERE name LIKE '%select shoes%'"), _is_statement(7, "COMMIT")
    (False, False)
    """
    if isinstance(value, str | bytes):
        given = _text(value)
        if not text:
            return _STATEMENT.match(given) is not None
        return text == given or (len(given) >= MIN_COMMON and text.startswith(given[:COMPARED]))
    return any(
        package in _EXECUTABLE and hasattr(base, _EXECUTABLE[package])
        for base in type(value).__mro__
        for package in (base.__module__.partition(".")[0],)
    )
