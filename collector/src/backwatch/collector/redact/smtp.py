"""Mail: to which domains, and to how many. No address leaves."""

import re
from collections.abc import Sequence
from typing import Final

DOMAINS: Final = 8
_DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def domain(address: str) -> str:
    """The domain of an address; ``?`` where it has none.

    >>> domain("Ada <ada@Mail.example>"), domain("ada")
    ('mail.example', '?')
    """
    found = address[:512].rpartition("@")[2].strip(" <>\t\r\n").lower()
    return found if "@" in address and _DOMAIN.fullmatch(found) else "?"


def statement(recipients: Sequence[str]) -> str:
    """The recipients' domains, each once, sorted.

    >>> statement(["ada@mail.example", "bob@mail.example", "c@shop.example"])
    'SEND mail.example,shop.example'
    """
    domains = sorted({domain(one) for one in recipients[:1_000]})
    more = ",…" if len(domains) > DOMAINS else ""
    return f"SEND {','.join(domains[:DOMAINS])}{more}"
