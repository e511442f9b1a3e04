"""How signs are reported: as a fact, and as part of a shape that would hide them."""

from collections.abc import Collection

from backwatch.collector import names
from backwatch.collector.runtime.record import Facts


def join_signs(found: Collection[str]) -> str:
    """Return signs as they are reported: in the order of ``names.SIGNS``."""
    return ",".join(sign for sign in names.SIGNS if sign in found) if found else ""


def with_signs(statement: str, signs: str) -> str:
    """Return the shape with its signs: what is suspicious is another statement than the honest one of that shape.

    >>> with_signs("find users filter:{password:{$gt:?}}", "operator-for-value")
    'find users filter:{password:{$gt:?}} !operator-for-value'
    """
    return f"{statement} !{signs}" if signs else statement


def sign_facts(signs: str) -> Facts:
    """Return the fact of these signs, if there are any."""
    return ((names.QUERY_SIGNS, signs),) if signs else ()
