"""Injection signs, combined with novelty at the call site.

A sign alone proves little: administrators read catalogues and query builders write ``WHERE 1=1``. So a statement counts
only where it is new, and a sign only where it is unusual at the call site. The remaining signs are weighed.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.suspicion import ATTACK_WEIGHT, SIGN_WEIGHTS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import SITE
from backwatch.detector.state.tables import Rows, Table

SURPRISE_WEIGHT: Final = 1.0
"""Additional weight where a new statement is a surprise."""
FAILURE_WEIGHT: Final = 0.5
"""Additional weight where the statement failed: probing breaks statements."""
USUAL_AFTER_CALLS: Final = 3
"""Quiet calls with known statements after which a sign is usual at a call site."""
EFFECT_SIGNS: Final = frozenset(("file-access", "program", "time-delay", "catalogue", "version-probe", "cut"))
"""Signs of a statement's effect, not of injected text."""
SHAPE_WEIGHTS: Final = np.where([sign in EFFECT_SIGNS for sign in names.SIGNS], 0.0, SIGN_WEIGHTS)

USUAL_SIGNS = np.dtype([("seen", "u1", (len(names.SIGNS),))])


@kernel
def _weigh(
    signs: Array,
    novel: Array,
    settled: Array,
    mature: Array,
    failed: Array,
    site: Array,
    learn: Array,
    places: Any,
    weight: Array,
    shape: Array,
    score: Array,
    injected: Array,
) -> None:
    for i in range(signs.shape[0]):
        if signs[i] == 0:
            continue
        seen = places[site[i]]["seen"]
        total, shaped = 0.0, 0.0
        for s in range(weight.shape[0]):
            if signs[i] >> np.uint32(s) & np.uint32(1) and (site[i] == 0 or seen[s] < USUAL_AFTER_CALLS):
                total += weight[s]
                shaped += shape[s]
        if novel[i] != 0 and total > 0.0:
            surprise = SURPRISE_WEIGHT if settled[i] != 0 or mature[i] != 0 else 0.0
            score[i] = total + surprise + (FAILURE_WEIGHT if failed[i] else 0.0)
            injected[i] = shaped >= ATTACK_WEIGHT
        if learn[i] and novel[i] == 0 and site[i] != 0:
            for s in range(weight.shape[0]):
                if signs[i] >> np.uint32(s) & np.uint32(1) and seen[s] < 255:
                    seen[s] += 1


class QueryAttack(Detector):
    """Weighs the injection signs of new statements."""

    id = "query-attack"
    reads = ("backwatch.query.novel", "backwatch.site.settled", "backwatch.resource.settled")
    derives = (
        derived_fact(
            "backwatch.query.attack.score",
            "Sum of the weights of the signs that are unusual at the statement's call site; 0 where the "
            "statement is known there.",
        ),
        derived_fact(
            "backwatch.query.injected",
            "1 where the unusual signs of a new statement that indicate injected text reach the weight of an "
            "attack by themselves.",
        ),
    )
    tables = (Table("query_attack", SITE, 2, USUAL_SIGNS),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        score, injected = np.zeros(calls.count, np.float64), np.zeros(calls.count, np.int8)
        novel, settled, mature = (calls[name] for name in self.reads)
        places = tables["query_attack"]
        _weigh(
            calls["signs"], novel, settled, mature, calls["error"], slot[SITE.name], learn, places, SIGN_WEIGHTS,
            SHAPE_WEIGHTS, score, injected,
        )  # fmt: skip
        return {"backwatch.query.attack.score": score, "backwatch.query.injected": injected}

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  version 1 is the only older one
        """Convert rows without the newer signs, which have not been seen yet."""
        converted = np.zeros(len(rows), table.dtype)
        known = rows["seen"].shape[1]
        converted["seen"][:, :known] = rows["seen"]
        return converted
