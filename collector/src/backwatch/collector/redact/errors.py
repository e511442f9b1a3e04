"""Errors: their class and code. Drivers echo values in their messages, so no message leaves."""

import re
from typing import Final

_CODE: Final = re.compile(r"[A-Za-z0-9_]{1,40}")
_CLASS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


def error_type(error: BaseException | str) -> str:
    """What an error is called.

    >>> error_type(KeyError("secret")), error_type("28P01"), error_type("password secret is wrong")
    ('KeyError', '28P01', 'error')
    """
    if isinstance(error, BaseException):
        return type(error).__name__[:100]
    return error if _CODE.fullmatch(error) or _CLASS.fullmatch(error) else "error"
