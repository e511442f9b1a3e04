"""Mail: the domains of a message's recipients, never their names."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

MAX_DOMAINS: Final = 8
MAX_RECIPIENTS: Final = 1_000
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def get_domain(address: str) -> str:
    """Return the domain of a mail address; ``?`` if there is none.

    >>> get_domain("Ann <ann@Example.com>")
    'example.com'
    """
    found = address[-400:].rpartition("@")[2].strip().rstrip(">").strip().lower().rstrip(".")
    return found if "@" in address and _DOMAIN.fullmatch(found) else "?"


def to_statement(recipients: Iterable[str]) -> str:
    """Return the statement of a message: the domains of its recipients, each once, in alphabetical order.

    >>> to_statement(["b@x.org", "a@x.org", "c@a.net"])
    'SEND a.net,x.org'
    """
    domains = sorted({get_domain(recipient) for recipient in islice(recipients, MAX_RECIPIENTS)})
    more = ",…" if len(domains) > MAX_DOMAINS else ""
    return f"SEND {','.join(domains[:MAX_DOMAINS])}{more}".rstrip()
