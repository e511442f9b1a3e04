"""Mail: the domains that a message goes to, never who."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

MAX_DOMAINS: Final = 8
MAX_LOOKED_AT: Final = 1_000
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def get_domain(address: str) -> str:
    """The domain of a mail address; ``?`` where there is none.

    >>> get_domain("Ann <ann@Example.com>")
    'example.com'
    """
    found = address[-400:].rpartition("@")[2].strip().rstrip(">").strip().lower().rstrip(".")
    return found if "@" in address and _DOMAIN.fullmatch(found) else "?"


def to_statement(recipients: Iterable[str]) -> str:
    """What makes two messages the same: the domains of their recipients, each once, in alphabetical order.

    >>> to_statement(["b@x.org", "a@x.org", "c@a.net"])
    'SEND a.net,x.org'
    """
    domains = sorted({get_domain(one) for one in islice(recipients, MAX_LOOKED_AT)})
    more = ",…" if len(domains) > MAX_DOMAINS else ""
    return f"SEND {','.join(domains[:MAX_DOMAINS])}{more}".rstrip()
