"""Facts that a call states indirectly: its host in a URL, an older spelling, HTTP by its attributes."""

from typing import Final

from backwatch.collector import names
from backwatch.detector.decoding.rows import SERIAL, TAIL_HTTP, Bytes, flag_cell, number_cell, text_cell
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import address_of, load8, load64, store64

_DB, _MESSAGING, _RPC, _SYSTEM = (8 * text_cell(name) for name in names.SYSTEMS)
_METHOD, _URL = 8 * text_cell(names.HTTP_METHOD), 8 * text_cell(names.URL_FULL)
_ADDRESS, _PORT = 8 * text_cell(names.SERVER_ADDRESS), 8 * number_cell(names.SERVER_PORT)
_PEER, _TRANSPORT = 8 * text_cell(names.PEER_ADDRESS), 8 * text_cell(names.TRANSPORT)
_SENT, _RECEIVED = 8 * number_cell(names.BYTES_SENT), 8 * number_cell(names.BYTES_RECEIVED)
_ESTIMATED = 8 * flag_cell(names.BYTES_ESTIMATED)
_SERIAL = 8 * SERIAL

MAX_AUTHORITY: Final = 512
"""Bytes of a URL in which its host must end."""
CLIENT, CONSUMER = 3, 5


@kernel
def url_authority(base: int, start: int, end: int) -> tuple[int, int, int]:
    """Find a URL's authority: start and end, and its scheme's port; start -1 if it has none."""
    p = start
    while p < end and load8(base + p) != 58 and p - start < 8:
        p += 1
    if p + 3 > end or p == start or load8(base + p) != 58 or load8(base + p + 1) != 47 or load8(base + p + 2) != 47:
        return -1, -1, -1
    port = 443 if load8(base + p - 1) | 32 == 115 else 80  # https
    host = p + 3
    p = host
    while p < end and p - host < MAX_AUTHORITY:
        c = load8(base + p)
        if c == 47 or c == 63 or c == 35 or c == 92:
            break
        if c == 64:  # what stands before it is an account
            host = p + 1
        p += 1
    return host, p, port


@kernel
def authority(buffer: Bytes, start: int, end: int) -> tuple[int, int, int]:
    """:func:`url_authority` of a place in an array."""
    if start < 0 or end > buffer.shape[0]:
        return -1, -1, -1
    return url_authority(address_of(buffer), start, end)


@kernel
def host_and_port(base: int, start: int, end: int) -> tuple[int, int, int]:
    """Find a URL's host, start and end, and its port; start -1 if it names none."""
    host, stop, port = url_authority(base, start, end)
    if host < 0:
        return -1, -1, -1
    bracketed = host < stop and load8(base + host) == 91  # an IPv6 address
    if bracketed:
        host += 1
    host_end = host
    while host_end < stop and load8(base + host_end) != (93 if bracketed else 58):
        host_end += 1
    colon = host_end + 1 if bracketed else host_end
    if colon + 1 < stop and load8(base + colon) == 58:
        number = 0
        for i in range(colon + 1, min(stop, colon + 6)):
            digit = load8(base + i) - 48
            if digit < 0 or digit > 9:
                return -1, -1, -1
            number = number * 10 + digit
        port = number
    if host_end <= host:
        return -1, -1, -1
    return host, host_end, port


@kernel
def is_address(base: int, start: int, end: int) -> bool:
    """Return whether a peer is an IP address or path: some instrumentations put the requested name there."""
    if end - start > 128:
        return False
    first = load8(base + start)
    if first == 47 or first == 64:  # a unix socket, by path or abstract
        return True
    dots, colons, letters = 0, 0, 0
    for i in range(start, end):
        c = load8(base + i)
        if c == 46:
            dots += 1
        elif c == 58:
            colons += 1
        elif c == 37 and colons > 1:  # the interface of a link-local address
            return True
        elif 97 <= (c | 32) <= 102:
            letters += 1
        elif c < 48 or c > 57:
            return False
    return colons >= 2 or (dots == 3 and letters == 0 and colons == 0)


@kernel
def add_place(base: int, row: int) -> None:
    """Set host and port from the URL if nothing else states them."""
    start = load64(row + _URL)
    host, stop, port = host_and_port(base, start, start + load64(row + _URL + 8))
    if host >= 0:
        if load64(row + _ADDRESS + 8) == 0:
            store64(row + _ADDRESS, host)
            store64(row + _ADDRESS + 8, stop - host)
        if load64(row + _PORT) < 0:
            store64(row + _PORT, port)


@kernel
def names_a_system(row: int) -> bool:
    """Return whether the call names a database, messaging, RPC or other system."""
    return (
        load64(row + _DB + 8) | load64(row + _MESSAGING + 8) | load64(row + _RPC + 8) | load64(row + _SYSTEM + 8)
    ) != 0  # fmt: skip


@kernel
def is_set_by_alias(state: int, cell: int, exact: int) -> bool:
    """Return whether this attribute list set a number by one of its aliases."""
    stamp = load64(state + cell)
    return exact - 15 <= stamp < exact


@kernel
def complete(base: int, row: int, kind: int, tail: int, state: int) -> bool:
    """Set the facts that follow from the others. Return whether this span is a call to a backing service."""
    if kind < CLIENT or kind > CONSUMER:
        return False
    url = load64(row + _URL + 8) > 0
    if not names_a_system(row):
        if not url and load64(row + _METHOD + 8) == 0:
            return False
        store64(row + _SYSTEM, tail + TAIL_HTTP)
        store64(row + _SYSTEM + 8, 4)
    if url and (load64(row + _ADDRESS + 8) == 0 or load64(row + _PORT) < 0):
        add_place(base, row)
    start, length = load64(row + _PEER), load64(row + _PEER + 8)
    if length > 0 and not is_address(base, start, start + length):
        store64(row + _PEER + 8, 0)
    start, length = load64(row + _TRANSPORT), load64(row + _TRANSPORT + 8)
    if length > 3 and load8(base + start + 2) == 95:  # ip_tcp
        store64(row + _TRANSPORT, start + 3)
        store64(row + _TRANSPORT + 8, length - 3)
    # A body's size is not what went over the wire.
    exact = load64(state + _SERIAL) * 16 + 15
    if is_set_by_alias(state, _SENT, exact) or is_set_by_alias(state, _RECEIVED, exact):
        store64(row + _ESTIMATED, 1)
    return True
