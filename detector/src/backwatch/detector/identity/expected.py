"""Expected identities of a shard: values announced in profiles or accepted on alerts.

Kept as text, which survives a change of slots; the engine makes keyed hashes of it (see ``identities.py``).
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.state.keys import RESOURCE

Announced = Mapping[str, Mapping[str, Sequence[str]]]
"""Resource, as alerts show it, to contract name to values."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One acceptance on an alert of an identity rule.

    Attributes:
        until_ns: When it ends; 0: never.
        shown: The rule's own facts, by contract name; empty text: absent. It holds for calls that show these.
        values: The values that became known by it, by contract name, without those known before.
    """

    resource_id: str
    until_ns: int
    shown: Mapping[str, str]
    values: Mapping[str, Sequence[str]]

    def plain(self) -> dict[str, Any]:
        """Return the acceptance as JSON accepts it."""
        return {
            "resource_id": self.resource_id, "until_ns": self.until_ns, "shown": dict(self.shown),
            "values": {name: list(values) for name, values in self.values.items()},
        }  # fmt: skip


@dataclass(slots=True)
class ExpectedIdentities:
    """The expectations of one shard.

    Attributes:
        profiles: App to what is announced for it.
        accepted: Alert id to its acceptances, oldest first.
        silenced: Alert id to the end, in nanoseconds, of an acceptance that holds for any value; 0: no end.
        stale: Nothing below follows from the above yet: the state was just loaded.
        is_expected: bool per RESOURCE slot: values are expected of it.
        by_slot: Slot to what is expected: (number of the column, value, until when; 0: for good).
        networks: Slot to networks announced for its peers.
        columns: Numbers of the columns of which anything is expected anywhere.
        keys, until: Sorted keys of slot, column and value, and until when each is expected.
        silent: Alert id to (until, keyed hash by contract name) of its acceptances.
    """

    profiles: dict[str, Announced] = field(default_factory=dict[str, Announced])
    accepted: dict[str, list[Acceptance]] = field(default_factory=dict[str, list[Acceptance]])
    silenced: dict[str, int] = field(default_factory=dict[str, int])
    stale: bool = False
    is_expected: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(RESOURCE.capacity, np.bool_))
    by_slot: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict[int, list[tuple[int, int, int]]])
    networks: dict[int, list[Network]] = field(default_factory=dict[int, list[Network]])
    columns: set[int] = field(default_factory=set[int])
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    until: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    silent: dict[str, list[tuple[int, dict[str, int]]]] = field(
        default_factory=dict[str, list[tuple[int, dict[str, int]]]]
    )
    _fresh_profiles: set[str] = field(default_factory=set[str])
    _fresh_alerts: set[str] = field(default_factory=set[str])

    def announce(self, app: str, announced: Announced) -> None:
        """Replace the announcement of this app."""
        if announced:
            self.profiles[app] = announced
        else:
            self.profiles.pop(app, None)
        self._fresh_profiles.add(app)

    def accept(self, alert_id: str, acceptance: Acceptance) -> None:
        """Add an acceptance on this alert."""
        self.accepted.setdefault(alert_id, []).append(acceptance)
        self._fresh_alerts.add(alert_id)

    def revoke(self, alert_id: str) -> list[Acceptance]:
        """Remove all acceptances on this alert, and return them."""
        self._fresh_alerts.add(alert_id)
        return self.accepted.pop(alert_id, [])

    @property
    def has_acceptances(self) -> bool:
        """An acceptance is in force on some alert."""
        return bool(self.silenced or self.silent)

    def scalars(self, *, everything: bool) -> dict[str, Any]:
        """Return the state: all of it, or the changes since :meth:`carried`."""
        apps: Iterable[str] = self.profiles if everything else self._fresh_profiles
        alerts: Iterable[str] = self.accepted if everything else self._fresh_alerts
        return {
            "announced": {app: self.profiles.get(app, {}) for app in sorted(apps)},
            "accepted": self.silenced,
            "acceptances": {alert: [it.plain() for it in self.accepted.get(alert, ())] for alert in sorted(alerts)},
        }

    def put(self, slot: int, found: list[tuple[int, int, int]], networks: list[Network]) -> None:
        """Set the expected values of the resource in this slot."""
        self.by_slot[slot], self.networks[slot] = found, networks
        if not found:
            del self.by_slot[slot]
        if not networks:
            del self.networks[slot]
        self.is_expected[slot] = bool(found or networks)

    def mark_saved(self) -> None:
        """Mark all changes as saved."""
        self._fresh_profiles.clear()
        self._fresh_alerts.clear()

    def take(
        self,
        announced: Mapping[str, Announced],
        acceptances: Mapping[str, Sequence[Mapping[str, Any]]],
        silenced: Mapping[str, int],
    ) -> None:
        """Load the output of :meth:`scalars` over the current state."""
        self.stale = True
        self.silenced = dict(silenced)
        self.profiles = {app: listed for app, listed in {**self.profiles, **announced}.items() if listed}
        found = {alert_id: [Acceptance(**acceptance) for acceptance in some] for alert_id, some in acceptances.items()}
        self.accepted = {alert_id: some for alert_id, some in {**self.accepted, **found}.items() if some}
