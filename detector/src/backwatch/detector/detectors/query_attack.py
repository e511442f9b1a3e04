"""Signs of injection, joined with novelty at the place that sent the statement.

A sign alone proves little: administrators read catalogues and query builders write ``WHERE 1=1``. So a statement
counts only where it is new, and a sign only where the place does not usually show it; what is left is weighed.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.suspicion import ENOUGH, WEIGHT
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import SITE
from backwatch.detector.state.tables import Rows, Table

SURPRISE: Final = 1.0
"""Added where a new statement is a surprise."""
FAILED: Final = 0.5
"""Added where the statement failed as well: probing breaks statements."""
USUAL: Final = 3
"""Quiet calls with known statements after which a sign is usual at a place."""
REACHES: Final = frozenset(("file-access", "program", "time-delay", "catalogue", "version-probe", "cut"))
"""Signs of what a statement does, not of something put into it from outside."""
SHAPE: Final = np.where([sign in REACHES for sign in names.SIGNS], 0.0, WEIGHT)

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
            if signs[i] >> np.uint32(s) & np.uint32(1) and (site[i] == 0 or seen[s] < USUAL):
                total += weight[s]
                shaped += shape[s]
        if novel[i] != 0 and total > 0.0:
            surprise = SURPRISE if settled[i] != 0 or mature[i] != 0 else 0.0
            score[i] = total + surprise + (FAILED if failed[i] else 0.0)
            injected[i] = shaped >= ENOUGH
        if learn[i] and novel[i] == 0 and site[i] != 0:
            for s in range(weight.shape[0]):
                if signs[i] >> np.uint32(s) & np.uint32(1) and seen[s] < 255:
                    seen[s] += 1


class QueryAttack(Detector):
    """Tells how much a new statement looks like an injection.

    Provides:
        ``backwatch.query.attack.score``: Sum of the weights of the signs that are unusual at the statement's place; 0
        where the statement is known there.
        ``backwatch.query.injected``: 1 where those signs of a new statement that are unusual at its place, and tell of
        something put into it, are enough by themselves, whatever it reaches for.
    """

    id = "query-attack"
    reads = ("backwatch.query.novel", "backwatch.site.settled", "backwatch.resource.settled")
    provides = ("backwatch.query.attack.score", "backwatch.query.injected")
    tables = (Table("query_attack", SITE, 2, USUAL_SIGNS),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        score, injected = np.zeros(calls.count, np.float64), np.zeros(calls.count, np.int8)
        novel, settled, mature = (calls[name] for name in self.reads)
        places = tables["query_attack"]
        _weigh(
            calls["signs"], novel, settled, mature, calls["error"], slot[SITE.name], learn, places, WEIGHT, SHAPE,
            score, injected,
        )  # fmt: skip
        return {"backwatch.query.attack.score": score, "backwatch.query.injected": injected}

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  version 1 is the only older one
        """A sign that is newer than the rows has not been seen yet."""
        told = np.zeros(len(rows), table.dtype)
        known = rows["seen"].shape[1]
        told["seen"][:, :known] = rows["seen"]
        return told
