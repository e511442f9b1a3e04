"""Converts announced and accepted texts to the values that columns hold."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from backwatch.collector import names
from backwatch.detector.derived.numbers import NODES, VERSION_NUMBER, version_number
from backwatch.detector.derived.numeric_address import address_in
from backwatch.detector.derived.text_columns import REDIRECT_HOST, UNREADABLE, redirect_host
from backwatch.detector.identity.expected import Network

COLUMNS: Final = (
    names.CERT_SHA256, names.CERT_ISSUER, names.PEER_ADDRESS, names.SERVER_VERSION, VERSION_NUMBER, names.SERVER_ID,
    NODES, REDIRECT_HOST,
)  # fmt: skip
"""Columns of which something can be expected. Their places make keys, in this process only."""
COLUMN_OF: Final = {
    names.CERT_SHA256: names.CERT_SHA256, names.PEER_ADDRESS: names.PEER_ADDRESS,
    names.SERVER_VERSION: names.SERVER_VERSION, names.SERVER_ID: names.SERVER_ID, names.TOPOLOGY: NODES,
    names.REDIRECT_TARGET: REDIRECT_HOST,
}  # fmt: skip
"""Facts that an alert's evidence shows, to the column of what is known by them."""
PLAIN_VERSION: Final = re.compile(r"\d{1,4}(?:\.\d{1,3}){0,2}")


def values_of(
    facts: Mapping[str, Sequence[str]], hash_text: Callable[[bytes], int], *, announced: bool = False
) -> Iterator[tuple[str, int]]:
    """Yield columns with their hashed values, for texts by contract name; networks have none.

    Args:
        announced: A version that is a plain number stands for every text in which that version comes first.
    """
    for name, texts in facts.items():
        for text in texts:
            if announced and name == names.SERVER_VERSION and PLAIN_VERSION.fullmatch(text):
                yield VERSION_NUMBER, version_number(text) + 1
            shown = text
            if name == names.CERT_SHA256:  # the convention writes capitals, OpenSSL's users often do not
                yield name, hash_text(text.lower().encode())
                shown = text.upper()
            if name == names.REDIRECT_TARGET:
                shown = redirect_host(text)
                shown = "" if shown == UNREADABLE else shown
            elif name == names.TOPOLOGY:
                shown = text.strip().lower()
            if shown and not (name == names.PEER_ADDRESS and "/" in shown):
                yield COLUMN_OF.get(name, name), hash_text(shown.encode())


def is_in(text: str, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of these networks.

    >>> import ipaddress
    >>> is_in("10.0.9.9", [ipaddress.ip_network("10.0.9.0/24")]), is_in("db", [ipaddress.ip_network("10.0.9.0/24")])
    (True, False)
    >>> is_in("::ffff:10.0.9.9", [ipaddress.ip_network("10.0.9.0/24")])
    True
    """
    address = address_in(text)
    return address is not None and any(address in network for network in networks)
