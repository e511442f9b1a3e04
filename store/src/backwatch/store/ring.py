"""Which occurrences of an alert are kept: the newest, and of each thing that it showed before them the first.

So an episode that showed two certificates still shows both, however often the second one came.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

RING: Final = 50
"""The newest ones that are kept."""
SHOWN: Final = 8
"""Different things shown in one episode of which the first occurrence is kept."""


def get_shown_values(evidence: Mapping[str, Any], accepts: Sequence[str]) -> tuple[str, ...] | None:
    """What an occurrence shows of what its rule speaks of; ``None``: the rule speaks of no values.

    >>> get_shown_values({"backwatch.account": "web", "app": "shop"}, ["backwatch.account", "backwatch.server.id"])
    ('web', '')
    """
    return tuple(str(evidence.get(name, "")) for name in accepts) or None


def choose_kept(shows: Sequence[Hashable | None], newest: int = RING) -> list[int]:
    """The places of those that are kept, for what each occurrence shows, oldest first.

    >>> choose_kept(["b", "b", "c", "c", "c"], newest=2), choose_kept([None, None, None], newest=2)
    ([0, 2, 3, 4], [1, 2])
    """
    first: dict[Hashable, int] = {}
    for at, shown in enumerate(shows):
        if shown is not None and shown not in first and len(first) < SHOWN:
            first[shown] = at
    return sorted({*first.values(), *range(max(0, len(shows) - newest), len(shows))})
