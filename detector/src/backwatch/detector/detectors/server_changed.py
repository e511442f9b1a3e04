"""Servers that announce a new version or identity."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import KNOWN_VALUES, NEW, observe
from backwatch.detector.derived.numbers import VERSION_NUMBER
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: all nodes behind one name show their versions within it."""

WAS = np.dtype([("version", "<i8")])


@kernel
def _judge(
    version: Array, number: Array, identity: Array, time_ns: Array, resource: Array, learn: Array,
    expected: tuple[Array, Array], tables: tuple[Any, Any, Any], out: tuple[Array, Array, Array],
) -> None:  # fmt: skip
    expected_version, expected_identity = expected
    versions, identities, known = tables
    new_version, new_identity, was = out
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0:
            continue
        if version[i] != 0:
            observed = observe(versions, k, version[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected_version[i])
            if observed == NEW:
                new_version[i] = 1
                if known[k]["version"] > 0:
                    was[i] = float(known[k]["version"] - 1)
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
            "1 where the announced version is new, at a resource whose versions are known.",
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
        version, identity = np.zeros(calls.count, np.int8), np.zeros(calls.count, np.int8)
        was = np.full(calls.count, np.nan)
        expected_version = np.maximum(calls.get_expected(names.SERVER_VERSION), calls.get_expected(VERSION_NUMBER))
        _judge(
            calls[names.SERVER_VERSION], calls[VERSION_NUMBER], calls[names.SERVER_ID], calls["time_ns"],
            slot[RESOURCE.name], learn, (expected_version, calls.get_expected(names.SERVER_ID)),
            (tables["server_changed_version"], tables["server_changed_id"], tables["server_changed"]),
            (version, identity, was),
        )  # fmt: skip
        return {
            "backwatch.server.version.new": version, "backwatch.server.id.new": identity,
            "backwatch.server.version.number.was": was,
        }  # fmt: skip
