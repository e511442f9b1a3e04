"""Refused logins, counted over minutes."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.derived.numbers import LOGIN_FAILED
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

RECENT_NS: Final = 300 * 1_000_000_000
"""Five minutes: decay time of a recent refusal."""
USUAL_NS: Final = 86_400 * 1_000_000_000
"""One day: decay time of the usual number."""
USUAL_FACTOR: Final = 4.0
"""Factor above the usual number."""

REFUSED = np.dtype([("recent", "<f4"), ("usual", "<f4"), ("last_ns", "<i8")])


@kernel
def _judge(
    failed: Array, late: Array, time_ns: Array, resource: Array, rows: Any, recent: Array, excess: Array
) -> None:
    for i in range(resource.shape[0]):
        if resource[i] == 0 or failed[i] == 0 or late[i]:
            continue
        row = rows[resource[i]]
        gone = float(max(time_ns[i] - row["last_ns"], 0)) if row["last_ns"] else 0.0
        usual = float(row["usual"]) * np.exp(-gone / USUAL_NS)
        now = float(row["recent"]) * np.exp(-gone / RECENT_NS) + 1.0
        recent[i] = now
        excess[i] = now - USUAL_FACTOR * max(usual - now, 0.0) * RECENT_NS / USUAL_NS
        row["recent"], row["usual"] = min(now, 1e6), min(usual + 1.0, 1e8)
        row["last_ns"] = max(time_ns[i], row["last_ns"])


class LoginFailures(Detector):
    """Counts the logins that a resource refused in the last minutes."""

    id = "login-failures"
    derives = (
        derived_fact(
            "backwatch.login.failures",
            "Refused logins of about the last five minutes, including this one; 0 where this call is none.",
        ),
        derived_fact(
            "backwatch.login.excess",
            "Refused logins of about the last five minutes beyond four times the usual number of five minutes "
            "of the last day; 0 where this call is none.",
        ),
    )
    tables = (Table("login_failures", RESOURCE, 1, REFUSED),)

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        tables: Mapping[str, Rows],
        learn: NDArray[np.bool_],  # noqa: ARG002  it counts failed calls, which are never learnt from
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        recent, excess = np.zeros(calls.count), np.zeros(calls.count)
        _judge(
            calls[LOGIN_FAILED], calls["late"], calls["time_ns"], slot[RESOURCE.name], tables["login_failures"],
            recent, excess,
        )  # fmt: skip
        return {"backwatch.login.failures": recent, "backwatch.login.excess": excess}
