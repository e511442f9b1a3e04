"""Fits the model of ``multivariate-anomaly`` from the store's rollups, and appends it as a log entry."""

import time
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa

from backwatch.detector.models.fit import fit
from backwatch.store import entries, models, tables
from backwatch.store.commit import Rollup
from backwatch.store.transactions import reading, writing

MAX_MINUTES: Final = 200_000
"""Minutes, the newest ones, that a model is fitted on."""
DETECTOR: Final = "multivariate-anomaly"


def fit_and_enter(store: sa.Engine, out: Path | None = None) -> str:
    """Fit and append a model; return a line that reports it. The same rollups give the same model.

    Raises:
        TooLittleHistory: There are too few quiet minutes yet; the message gives the number needed.
    """
    with reading(store) as connection:
        query = sa.select(tables.rollup).order_by(tables.rollup.c.end_ns.desc()).limit(MAX_MINUTES)
        minutes = [Rollup(**row) for row in connection.execute(query).mappings()][::-1]
    arrays = fit(minutes)
    now_ns = time.time_ns()
    with writing(store) as connection:
        sha256 = models.put_arrays(connection, arrays, now_ns=now_ns)
        number = entries.append(connection, "model", {"detector": DETECTOR, "sha256": sha256}, now_ns, "backwatch fit")
    if out is not None:
        np.savez(out, allow_pickle=False, **arrays)
    return f"{DETECTOR}: fitted on {len(minutes):,} minutes, entry {number}, model {sha256[:16]}"
