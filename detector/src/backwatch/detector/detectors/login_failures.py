"""Logins that a service refuses one after the other."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.derived.numbers import LOGIN_FAILED
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

RECENT_NS: Final = 300 * 1_000_000_000
"""Five minutes: how long a refused login counts, fading."""
USUAL_NS: Final = 86_400 * 1_000_000_000
"""One day: how long it is part of what is usual."""
TIMES: Final = 4.0
"""How many times the usual is more than usual."""

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
        excess[i] = now - TIMES * max(usual - now, 0.0) * RECENT_NS / USUAL_NS
        row["recent"], row["usual"] = min(now, 1e6), min(usual + 1.0, 1e8)
        row["last_ns"] = max(time_ns[i], row["last_ns"])


class LoginFailures(Detector):
    """Counts the logins that a resource refused in the last minutes.

    Provides:
        ``backwatch.login.failures``: Refused logins of about the last five minutes, this one among them; 0 where this
            call is none.
        ``backwatch.login.excess``: By how many the refused logins of about the last five minutes exceed four times what
            five minutes of the last day usually had; 0 where this call is none.
    """

    id = "login-failures"
    provides = ("backwatch.login.failures", "backwatch.login.excess")
    tables = (Table("login_failures", RESOURCE, 1, REFUSED),)

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        tables: Mapping[str, Rows],
        learn: NDArray[np.bool_],  # noqa: ARG002  it counts failed calls, none of which may teach
    ) -> dict[str, Array]:
        """As the class says."""
        recent, excess = np.zeros(calls.count), np.zeros(calls.count)
        _judge(
            calls[LOGIN_FAILED], calls["late"], calls["time_ns"], slot[RESOURCE.name], tables["login_failures"],
            recent, excess,
        )  # fmt: skip
        return {"backwatch.login.failures": recent, "backwatch.login.excess": excess}
