"""Injections written by hand, without any of the usual signs, and honest input that breaks a statement.

In a value, ``{v}`` stands for the honest value of that field.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Injection:
    """One injection: the route, the field, the value, and what it does."""

    tid: str
    field: str
    value: str
    what: str
