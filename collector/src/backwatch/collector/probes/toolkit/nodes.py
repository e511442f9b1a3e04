"""The nodes that a service announces to its clients, as the fact ``backwatch.topology``."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Facts

MAX_NODES: Final = 256
MAX_ADDRESS_CHARS: Final = 262
MAX_TEXT_CHARS: Final = 4_096


def address(host: object, port: object) -> str:
    """Return ``host:port``, an IPv6 address in brackets; ``""`` where there is no host.

    >>> address("10.0.0.7", 6379), address("::1", "6379"), address("", 1)
    ('10.0.0.7:6379', '[::1]:6379', '')
    """
    name = words(host, 255)
    if not name:
        return ""
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    number = words(port, 5)
    return f"{name}:{number}" if number.isdigit() else name


def topology_facts(addresses: Iterable[str]) -> Facts:
    """Return the fact: each address once, sorted, bounded.

    >>> topology_facts(["b:2", "a:1", "b:2", ""])
    (('backwatch.topology', 'a:1,b:2'),)
    >>> topology_facts([])
    ()
    """
    found = sorted(
        {words(node, MAX_ADDRESS_CHARS).replace(",", "?") for node in islice(addresses, 2 * MAX_NODES) if node}
    )
    if not found:
        return ()
    text = ",".join(found[:MAX_NODES])
    if len(text) > MAX_TEXT_CHARS or len(found) > MAX_NODES:
        text = text[:MAX_TEXT_CHARS].rpartition(",")[0] + ",…"
    return ((names.TOPOLOGY, text),)
