"""Which occurrences of an alert are kept: the newest, and of each thing that it showed before them the first.

So an episode that showed two certificates still shows both, however often the second one came.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

RING: Final = 50
"""The newest ones that are kept."""
SHOWN: Final = 8
"""Different things shown in one episode of which the first occurrence is kept."""


def shown(evidence: Mapping[str, Any], accepts: Sequence[str]) -> tuple[str, ...] | None:
    """What an occurrence shows of what its rule speaks of; ``None``: the rule speaks of no values.

    >>> shown({"network.peer.address": "10.0.0.5", "app": "shop"}, ["network.peer.address", "backwatch.server.id"])
    ('10.0.0.5', '')
    """
    return tuple(str(evidence.get(name, "")) for name in accepts) or None


def kept(shows: Sequence[Hashable | None], newest: int = RING) -> list[int]:
    """The places of those that are kept, for what each occurrence shows, oldest first.

    >>> kept(["b", "b", "c", "c", "c"], newest=2), kept([None, None, None], newest=2)
    ([0, 2, 3, 4], [1, 2])
    """
    first: dict[Hashable, int] = {}
    for at, one in enumerate(shows):
        if one is not None and one not in first and len(first) < SHOWN:
            first[one] = at
    return sorted({*first.values(), *range(max(0, len(shows) - newest), len(shows))})
