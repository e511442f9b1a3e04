"""Logins by a weaker method than before for the same statements."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, day_of, has_lapsed
from backwatch.detector.derived.numbers import AUTH_STRENGTH, LOGIN_FAILED, PROVEN
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, STATEMENT
from backwatch.detector.state.tables import Rows, Table

IN_CLEAR: Final = 1
UNREPORTED: Final = 5
"""A password in an unreported way: better than no login, and comparable with nothing else."""
OVER_TLS: Final = 3
"""Strength of sending the secret itself where TLS verifies the server in full: more than a weak hash."""
_NEVER: Final = 7

ACCEPTED = np.dtype([("strength", "u1"), ("candidate", "u1"), ("since_ns", "<i8"), ("day", "<u2")])
"""The strength accepted after a quiet week, and the candidate for it; 1 more than the strength, 0: none. ``day``: day
of the last such login."""
WEAKEST = np.dtype([("least", "u1"), ("calls", "u1")])
"""Of a statement: the weakest login before it, as ``8 * strength + strength over TLS``."""


@kernel
def _accept(row: Any, strength: int, time_ns: int) -> None:
    """Count a quiet call after a weaker login. A week of them, with the alert open, makes it usual."""
    if row["candidate"] == 0 or has_lapsed(row["day"], time_ns) or strength + 1 > row["candidate"]:
        row["candidate"] = strength + 1
        row["since_ns"] = time_ns
    elif time_ns - row["since_ns"] >= LEARN_AFTER_NS:
        row["strength"] = row["candidate"]
        row["candidate"] = 0
    row["day"] = day_of(time_ns)


@kernel
def _judge(
    strength: Array,
    proven: Array,
    unfinished: Array,
    time_ns: Array,
    resource: Array,
    statement: Array,
    learn: Array,
    accepted: Any,
    weakest: Any,
    down: Array,
    was: Array,
) -> None:
    for i in range(resource.shape[0]):
        k, s = resource[i], statement[i]
        if k == 0 or s == 0 or strength[i] < 0:
            continue
        reported = strength[i] != UNREPORTED
        own = strength[i] if reported else IN_CLEAR
        if unfinished[i] and own != IN_CLEAR:  # a method that only a greeting named is no login
            continue
        worth = OVER_TLS if own == IN_CLEAR and proven[i] != 0 else own
        row, mine = accepted[k], weakest[s]
        least_own, least_worth = mine["least"] // 8, mine["least"] % 8
        if mine["calls"] < MIN_CALLS:
            if learn[i]:
                if mine["calls"] == 0:
                    least_own, least_worth = _NEVER, _NEVER
                mine["least"] = min(own, least_own) * 8 + min(worth, least_worth)
                mine["calls"] += 1
        elif (
            reported and own < least_own and worth < least_worth and (row["strength"] == 0 or own + 1 < row["strength"])
        ):
            down[i] = least_own - own
            was[i] = least_own
            if learn[i]:
                _accept(row, own, time_ns[i])


class AuthDowngraded(Detector):
    """Compares a login with the weakest after which the same statement was sent before."""

    id = "auth-downgraded"
    derives = (
        derived_fact(
            "backwatch.auth.downgrade",
            "By how many steps of backwatch.auth.strength the login is weaker than any after which the same "
            "statement was sent before; 0: not weaker, or not known yet.",
        ),
        derived_fact(
            "backwatch.auth.was",
            "The weakest backwatch.auth.strength after which the statement was sent before; NaN where the login "
            "is not weaker.",
        ),
    )
    accepts = (names.AUTH_METHOD, names.TLS_VERIFIED)
    identity_changes = ("backwatch.auth.downgrade",)
    tables = (
        Table("auth_downgraded", RESOURCE, 1, ACCEPTED), Table("auth_downgraded_statement", STATEMENT, 1, WEAKEST),
    )  # fmt: skip

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        down, was = np.zeros(calls.count, np.int8), np.full(calls.count, np.nan)
        unfinished = calls["error"] & (calls[LOGIN_FAILED] == 0)
        _judge(
            calls[AUTH_STRENGTH], calls[PROVEN], unfinished, calls["time_ns"], slot[RESOURCE.name],
            slot[STATEMENT.name], learn, tables["auth_downgraded"], tables["auth_downgraded_statement"], down, was,
        )  # fmt: skip
        return {"backwatch.auth.downgrade": down, "backwatch.auth.was": was}
