"""Statements that the app's enforced profile does not hold, whatever was seen before."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.approval import NOT_HELD, STATEMENT_APPROVAL, find_housekeeping
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.state.tables import Rows


class UnapprovedQuery(Detector):
    """Reports what the engine found in the enforced profile. It keeps no state."""

    id = "unapproved-query"
    derives = (
        derived_fact(
            "backwatch.query.unapproved",
            "1 where the app has an enforced profile with statements, which does not hold this one at its call site; "
            "never for transactions and a driver's own statements.",
        ),
    )

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],  # noqa: ARG002  these three are for detectors with state
        tables: Mapping[str, Rows],  # noqa: ARG002
        learn: NDArray[np.bool_],  # noqa: ARG002
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        unapproved = np.zeros(calls.count, np.int8)
        approval = calls.columns.get(STATEMENT_APPROVAL)
        if approval is not None:
            rows = np.flatnonzero(approval == NOT_HELD)
            if rows.shape[0]:
                unapproved[rows[~find_housekeeping(calls.tokens_of(rows), rows)]] = 1
        return {"backwatch.query.unapproved": unapproved}
