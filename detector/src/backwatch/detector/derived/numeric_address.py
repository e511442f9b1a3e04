"""Parse a numeric address from untrusted text."""

import ipaddress
from functools import lru_cache
from typing import Final

from backwatch.collector.destinations.host import parse_address

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REMEMBERED: Final = 1_024
"""Cached addresses: every network in a rule needs each of them."""


@lru_cache(MAX_REMEMBERED)
def address_in(text: str) -> Address | None:
    """Return the address in a text, without brackets and zone; ``None`` for names and everything else.

    An address in any spelling that C libraries accept counts. An IPv4-mapped IPv6 address, as a dual-stack socket
    reports its peer, becomes the IPv4 address; one that carries it otherwise proves nothing about networks.

    >>> address_in("::ffff:10.0.9.9"), address_in("[fe80::1%eth0]"), address_in("db.internal")
    (IPv4Address('10.0.9.9'), IPv6Address('fe80::1'), None)
    """
    packed = parse_address(text, unwrap=False)
    found = ipaddress.ip_address(packed) if packed else None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
