"""Destinations that the app's enforced profile does not hold, whatever was seen before."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.destinations.host import PUBLIC
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.approval import DESTINATION_APPROVAL, HELD_NOWHERE, NOT_HELD
from backwatch.detector.derived.text_columns import DESTINATION_CLASS, NAMED_CLASS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.state.tables import Rows


class UnapprovedDestination(Detector):
    """Reports what the engine found in the enforced profile. It keeps no state.

    A place for which the profile holds destinations is held to them. From any other place, only a public host that the
    profile holds nowhere is reported: databases and caches of a deploy stand in no suite's profile.
    """

    id = "unapproved-destination"
    derives = (
        derived_fact(
            "backwatch.destination.unapproved",
            "1 where the app's enforced profile holds other destinations for the place in the code; or none, and the "
            "call goes to a public host that the profile holds nowhere.",
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
        approval = calls.columns.get(DESTINATION_APPROVAL)
        if approval is not None:
            public = (calls[DESTINATION_CLASS] == PUBLIC) & (calls[NAMED_CLASS] <= PUBLIC)
            unapproved[(approval == NOT_HELD) | ((approval == HELD_NOWHERE) & public)] = 1
        return {"backwatch.destination.unapproved": unapproved}
