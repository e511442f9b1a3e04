"""A numeric address in text of the wire."""

import ipaddress
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REMEMBERED: Final = 1_024
"""Texts whose address is remembered: each is asked for by every network that some rule names."""
_LONGEST: Final = 60


@lru_cache(MAX_REMEMBERED)
def address_in(text: str) -> Address | None:
    """The address that a text is, without brackets and zone; ``None`` for names and everything else.

    An IPv4 address written as IPv6, as a socket for both tells its peer, is the IPv4 one.

    >>> address_in("::ffff:10.0.9.9"), address_in("[fe80::1%eth0]"), address_in("db.internal")
    (IPv4Address('10.0.9.9'), IPv6Address('fe80::1'), None)
    """
    try:
        found = ipaddress.ip_address(text[:_LONGEST].strip("[]").partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
