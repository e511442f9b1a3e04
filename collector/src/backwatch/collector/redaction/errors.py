"""Errors of drivers: class and code. Their text echoes values, so none of it is kept."""

import re
from typing import Final

from backwatch.collector.statements.spec import split_words

_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_NAMED: Final = re.compile(r"SQLITE_[A-Z_]{1,40}")
_IN_TEXT: Final = re.compile(
    r"SQLSTATE\W{1,3}([0-9A-Z]{5})\b|\[([0-9A-Z]{5})\]|\b(ORA-[0-9]{5})\b|^\(?([0-9]{3,5}), |^Msg ([0-9]{1,6})\b"
    r"|^([A-Z]{4,24})(?: |$)"
)
_REPLIES: Final = split_words(
    """
    WRONGTYPE NOAUTH NOPERM WRONGPASS MOVED LOADING BUSY READONLY NOSCRIPT OOM EXECABORT CLUSTERDOWN CROSSSLOT
    TRYAGAIN MASTERDOWN NOREPLICAS UNKILLABLE BUSYGROUP NOGROUP BUSYKEY MISCONF NOTBUSY NOPROTO DENIED
    """
)
_MAX_CLASS: Final = 64


def get_error_type(error: BaseException) -> str:
    """Return the error's class, with its module unless it is a builtin.

    >>> get_error_type(ValueError("secret"))
    'ValueError'
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name[-_MAX_CLASS:]


def get_error_code(error: BaseException) -> str:
    """Return SQLSTATE, the driver's number or a similar code; ``""`` if the error has none.

    >>> get_error_code(Exception(1064, "You have an error near 'secret'"))
    '1064'
    """
    for attribute in ("sqlstate", "pgcode"):
        value = getattr(error, attribute, None)
        if isinstance(value, str) and _SQLSTATE.fullmatch(value):
            return value
    named = getattr(error, "sqlite_errorname", None)
    if isinstance(named, str) and _NAMED.fullmatch(named):
        return named
    number = getattr(error, "smtp_code", None) or getattr(error, "errno", None) or next(iter(error.args), None)
    if isinstance(number, int) and not isinstance(number, bool) and -1 < number < 1_000_000:
        return str(number)
    return redact_error(str(number)) if isinstance(number, str) else ""


def redact_error(text: str) -> str:
    """Return the code in an error's text, and nothing else.

    >>> redact_error('ERROR: duplicate key "secret" (SQLSTATE 23505)')
    '23505'
    >>> redact_error("password authentication failed for user ann")
    ''
    """
    for found in _IN_TEXT.finditer(text[:4096]):
        *codes, reply = found.groups()
        code = next((code for code in codes if code), "")
        if code and any(letter.isdigit() for letter in code):
            return code
        if reply in _REPLIES:
            return reply
    return ""
