"""Servers that announce a new version or identity."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import EXPECTED, KNOWN_VALUES, NEW, find_value, is_settled, observe
from backwatch.detector.derived.numbers import PROVEN, VERSION_NUMBER
from backwatch.detector.detectors import MOVED_AS_DECLARED, Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: all nodes behind one name show their versions within it."""

MAJOR, MINOR = 1_000_000, 1_000
"""Steps of versions as numbers: 15.10 is 15,010,000, 8.0.36 is 8,000,036."""
TWO_PARTS_FROM: Final = 10 * MAJOR
"""From here on a version without a third part, as PostgreSQL's, has its major version in the first part alone."""

WAS = np.dtype([("version", "<i8")])


@kernel
def _is_of_one_line(number: int, before: int) -> bool:
    """Return whether two versions belong to one line of releases, within which upgrades only mend."""
    two_parts = number % MINOR == 0 and before % MINOR == 0 and before >= TWO_PARTS_FROM
    return number // MAJOR == before // MAJOR and (two_parts or number // MINOR == before // MINOR)


@kernel
def _is_upgrade(row: Any, version: Any, number: int, before: int, time_ns: int) -> bool:
    """Return whether an unknown version is a later one of the same line of releases."""
    if before < 0 or number <= before or not _is_of_one_line(number, before) or row["pinned"] != 0:
        return False
    at = find_value(row, version)
    return (at < 0 or row["known"][at] == 0) and is_settled(row, time_ns, SETTLES_AFTER_NS)


@kernel
def _judge(
    version: Array, number: Array, identity: Array, trusted: Array, time_ns: Array, resource: Array, learn: Array,
    expected: tuple[Array, Array], tables: tuple[Any, Any, Any], out: tuple[Array, Array, Array, Array],
) -> None:  # fmt: skip
    expected_version, expected_identity = expected
    versions, identities, known = tables
    new_version, new_identity, was, upgrade = out
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0:
            continue
        if version[i] != 0:
            before, expects = int(known[k]["version"]) - 1, expected_version[i]
            if trusted[i] and expects == 0 and _is_upgrade(versions[k], version[i], number[i], before, time_ns[i]):
                expects = EXPECTED
                upgrade[i] = 1
            observed = observe(versions, k, version[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expects)
            if observed == NEW:
                new_version[i] = 1
                if before >= 0:
                    was[i] = float(before)
            elif learn[i] and number[i] >= 0:
                known[k]["version"] = number[i] + 1
        observed = observe(identities, k, identity[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected_identity[i])
        if observed == NEW:
            new_identity[i] = 1


class ServerChanged(Detector):
    """Compares the version and identity that a server announces with those announced before."""

    id = "server-changed"
    derives = (
        derived_fact(
            "backwatch.server.version.new",
            "1 where the announced version is new, at a resource whose versions are known, and no upgrade.",
        ),
        derived_fact(
            "backwatch.server.version.upgrade",
            "1 where an unknown version is a later one of the same major version, and the server was verified in full "
            "or responds at a known address.",
        ),
        derived_fact(
            "backwatch.server.id.new",
            "1 where the announced identity is new, at a resource whose identities are known.",
        ),
        derived_fact(
            "backwatch.server.version.number.was",
            "The previously announced version, as backwatch.server.version.number writes it (8.0.17 is "
            "8000017); NaN where nothing is new.",
        ),
    )
    tables = (
        Table("server_changed_version", RESOURCE, 1, KNOWN_VALUES),
        Table("server_changed_id", RESOURCE, 1, KNOWN_VALUES),
        Table("server_changed", RESOURCE, 1, WAS),
    )  # fmt: skip
    reads = ("backwatch.peer.known", MOVED_AS_DECLARED)
    knows = (
        (names.SERVER_VERSION, "server_changed_version"), (VERSION_NUMBER, "server_changed_version"),
        (names.SERVER_ID, "server_changed_id"),
    )  # fmt: skip
    accepts = (names.SERVER_VERSION, names.SERVER_ID)
    identity_changes = ("backwatch.server.version.new", "backwatch.server.id.new")

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        version, identity, upgrade = (np.zeros(calls.count, np.int8) for _ in range(3))
        trusted = (calls[PROVEN] == 1) | (calls["backwatch.peer.known"] != 0)
        was = np.full(calls.count, np.nan)
        expected_version = np.maximum(
            calls.get_expected_identity(names.SERVER_VERSION), calls.get_expected(VERSION_NUMBER)
        )
        _judge(
            calls[names.SERVER_VERSION], calls[VERSION_NUMBER], calls[names.SERVER_ID], trusted, calls["time_ns"],
            slot[RESOURCE.name], learn, (expected_version, calls.get_expected_identity(names.SERVER_ID)),
            (tables["server_changed_version"], tables["server_changed_id"], tables["server_changed"]),
            (version, identity, was, upgrade),
        )  # fmt: skip
        return {
            "backwatch.server.version.new": version, "backwatch.server.id.new": identity,
            "backwatch.server.version.number.was": was, "backwatch.server.version.upgrade": upgrade,
        }  # fmt: skip
