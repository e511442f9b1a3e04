"""Descriptions of exceptions for logs and the store: where they were raised, and nothing that an attacker controls."""

import traceback


def describe(error: BaseException) -> str:
    """Return the exception's class and the function that raised it, never its message, which may hold anything.

    >>> try: int("secret")
    ... except ValueError as error: describe(error)
    'ValueError in <module>, line 1'
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
