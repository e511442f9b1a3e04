"""Enforced profiles: which calls' statements and destinations they hold. Detectors read the answer as columns."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.approval import (
    DESTINATION_APPROVAL,
    HELD,
    HELD_NOWHERE,
    NOT_HELD,
    STATEMENT_APPROVAL,
)
from backwatch.detector.columns.key_texts import ROUTE_PREFIX
from backwatch.detector.detectors import Array
from backwatch.detector.engine.log_entries import Approved, ProfileVersion
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.approved import APPROVED, MISSING, find_until
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix

UNENFORCED: Final = "profile"
"""Kind of loss: a profile for which the shard has no room, and which is not enforced."""
MAX_PORT_DIGITS: Final = 5
_STATEMENTS, _DESTINATIONS, _STATEMENT, _DESTINATION, _PLACE, _ANYWHERE = (np.uint64(kind) for kind in range(1, 7))
"""Kinds of keys: an app whose statements or destinations are judged; a statement or a destination at a place; a place
for which there are destinations; a destination for any place."""
_ZERO: Final = np.uint64(0)
_ROUTE: Final = np.uint64(0x726F757465)


@kernel
def _place(app: Any, function: Any, file: Any, route: Any) -> Any:
    if function == 0 and file == 0:
        return mix(mix(app, _ROUTE), np.uint64(route))
    return mix(mix(app, np.uint64(function)), np.uint64(file))


@kernel
def _key(place: Any, kind: Any, value: Any) -> Any:
    return mix(mix(place, kind), np.uint64(value)) | np.uint64(1)


@kernel
def _destination(name: Any, address: Any, port: int) -> Any:
    """Return the value of a destination; 0: the call has none that could be named."""
    if name != 0:
        return np.uint64(name)
    return mix(np.uint64(address), np.uint64(port)) if address != 0 and port > 0 else np.uint64(0)


@kernel
def _holds(table: tuple[Any, Any], key: Any, time_ns: int) -> bool:
    until = find_until(table[0], table[1], key)
    return until == 0 or (until != MISSING and time_ns < until)


@kernel
def _judge(
    slot: Array, app_of: Array, where: tuple[Array, Array, Array], what: tuple[Array, Array, Array, Array, Array],
    time_ns: Array, table: tuple[Array, Array], out: tuple[Array, Array],
) -> bool:  # fmt: skip
    function, file, route = where
    fingerprint, system, name, address, port = what
    statements, destinations = out
    nothing, found = np.uint64(0), False
    for i in range(slot.shape[0]):
        app = app_of[slot[i]]
        if app == 0:
            continue
        found = True
        place, anywhere = _place(app, function[i], file[i], route[i]), _place(app, nothing, nothing, nothing)
        if fingerprint[i] != 0 and system[i] != 0 and _holds(table, _key(app, _STATEMENTS, nothing), time_ns[i]):
            held = _holds(table, _key(place, _STATEMENT, fingerprint[i]), time_ns[i])
            held = held or _holds(table, _key(anywhere, _STATEMENT, fingerprint[i]), time_ns[i])
            statements[i] = HELD if held else NOT_HELD
        value = _destination(name[i], address[i], port[i])
        if value != 0 and _holds(table, _key(app, _DESTINATIONS, nothing), time_ns[i]):
            held = _holds(table, _key(place, _DESTINATION, value), time_ns[i])
            if held or _holds(table, _key(anywhere, _DESTINATION, value), time_ns[i]):
                destinations[i] = HELD
            elif _holds(table, _key(place, _PLACE, nothing), time_ns[i]):
                destinations[i] = NOT_HELD
            elif not _holds(table, _key(app, _ANYWHERE, value), time_ns[i]):
                destinations[i] = HELD_NOWHERE
    return found


class Approvals:
    """Applies enforced profiles to the calls of any number of shards.

    Args:
        hash_text: The installation's keyed hash.
    """

    def __init__(self, hash_text: Callable[[bytes], int]) -> None:
        self._hash = hash_text

    def enforce(self, shard: Shard, entry: ProfileVersion) -> None:
        """Replace what is enforced for the app, where the entry states it."""
        if entry.approved is None:
            return
        ends: dict[int, int] = {}
        app = self._text(entry.app)
        for key, until_ns in self._keys(app, entry.approved):
            before = ends.get(key, until_ns)
            ends[key] = 0 if 0 in (before, until_ns) else max(before, until_ns)
        rows = np.array(sorted(ends.items()), APPROVED) if ends else np.empty(0, APPROVED)
        if not shard.approved.has_room(entry.app, rows.shape[0]):
            shard.lose(UNENFORCED, 1, entry.app)
            rows = np.empty(0, APPROVED)
        shard.approved.put(entry.app, rows)
        self.restore(shard)

    def restore(self, shard: Shard) -> None:
        """Rebuild the derived state, after a load or a change."""
        shard.approved.index()
        for slot, parts in shard.resources.items():
            self.apply_to_new_resource(shard, slot, parts)

    def apply_to_new_resource(self, shard: Shard, slot: int, parts: tuple[str, str, str, str]) -> None:
        """Note whether a profile is enforced for the app of a resource."""
        state = shard.approved
        state.app_key[slot] = self._text(parts[0]) if parts[0] in state.by_app else 0

    def columns(
        self, shard: Shard, columns: Mapping[str, Array], slot: NDArray[np.int32]
    ) -> dict[str, NDArray[np.int8]]:
        """Return whether the profiles hold each call's statement and destination; nothing if none is enforced here."""
        state = shard.approved
        if not state.by_app:
            return {}
        statements, destinations = np.zeros(slot.shape[0], np.int8), np.zeros(slot.shape[0], np.int8)
        found = _judge(
            slot, state.app_key, (columns[names.CODE_FUNCTION], columns[names.CODE_FILE], columns[names.HTTP_ROUTE]),
            (columns["fingerprint"], columns[names.DB_SYSTEM], columns[names.RESOURCE_NAME],
             columns[names.SERVER_ADDRESS], columns[names.SERVER_PORT]),
            columns["time_ns"], (state.keys, state.until), (statements, destinations),
        )  # fmt: skip
        return {STATEMENT_APPROVAL: statements, DESTINATION_APPROVAL: destinations} if found else {}

    def _keys(self, app: np.uint64, approved: Approved) -> Iterator[tuple[int, int]]:
        if any(until_ns == 0 for _, _, until_ns in approved.statements):
            yield int(_key(app, _STATEMENTS, _ZERO)), 0
        if any(until_ns == 0 for _, _, until_ns in approved.destinations):
            yield int(_key(app, _DESTINATIONS, _ZERO)), 0
        for site, statement, until_ns in approved.statements:
            yield int(_key(self._place(app, site), _STATEMENT, self._text(statement))), until_ns
        for site, destination, until_ns in approved.destinations:
            place = self._place(app, site)
            yield int(_key(place, _PLACE, _ZERO)), 0
            for value in self._destinations(destination):
                yield int(_key(place, _DESTINATION, value)), until_ns
                yield int(_key(app, _ANYWHERE, value)), until_ns

    def _place(self, app: np.uint64, site: str) -> np.uint64:
        if not site or site.startswith(ROUTE_PREFIX):
            return np.uint64(_place(app, _ZERO, _ZERO, self._text(site.removeprefix(ROUTE_PREFIX))))
        file, _, function = site.partition(":")
        return np.uint64(_place(app, self._text(function), self._text(file), _ZERO))

    def _destinations(self, text: str) -> Iterator[np.uint64]:
        """Yield the values of a destination: a resource of this name, and a host and port."""
        yield self._text(text)
        host, colon, port = text.rpartition(":")
        if colon and port.isdecimal() and len(port) <= MAX_PORT_DIGITS:
            yield np.uint64(_destination(_ZERO, self._text(host), int(port)))

    def _text(self, text: str) -> np.uint64:
        return np.uint64(self._hash(text.encode("utf-8", "surrogatepass")) if text else 0)
