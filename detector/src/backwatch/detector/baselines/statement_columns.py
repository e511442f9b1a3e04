"""What the judgement of statements reads and writes: columns of calls, rows of tables, facts, and work space."""

from typing import Any, Final, NamedTuple

import numpy as np

from backwatch.detector.baselines.injection import COUNT_OF_SIGNALS
from backwatch.detector.statements.structure.encoding import MAX_TOKENS
from backwatch.detector.statements.structure.features import FEATURE_CELLS
from backwatch.detector.statements.structure.grammar import KIND_CELLS as KINDS

Array = Any


class StatementCalls(NamedTuple):
    """Columns of the calls, and the tokens of statements that may be new."""

    fingerprint: Array
    sighting: Array
    goes_on: Array
    time_ns: Array
    signs: Array
    site: Array
    pair: Array
    statement: Array
    resource: Array
    release: Array
    reported: Array
    function: Array
    error: Array
    refused: Array
    unresolved: Array
    rows: Array
    duration_ns: Array
    late: Array
    learn: Array
    approved: Array
    tokens: Any


class StatementState(NamedTuple):
    """Rows of the tables."""

    places: Array
    pairs: Array
    asked: Array
    releases: Array
    usual: Array
    sites: Array
    resources: Array
    campaigns: Array


class StatementFacts(NamedTuple):
    """Facts of each call, written; ``campaign`` has one column for each of ``CAMPAIGN_FACTS``."""

    novel: Array
    settled: Array
    unseen: Array
    released: Array
    various: Array
    elsewhere: Array
    injection: Array
    injected: Array
    broken: Array
    changes: Array
    difference: Array
    stage: Array
    campaign: Array
    first_row: Array


CAMPAIGN_FACTS: Final = ("statements", "failed", "rows", "tables", "seconds")


class Work(NamedTuple):
    """Work space."""

    added: Array
    removed: Array
    features: Array
    kinds: Array
    signals: Array


def new_work() -> Work:
    """Return work space for one thread."""
    return Work(
        np.zeros(MAX_TOKENS, np.uint8), np.zeros(MAX_TOKENS, np.uint8), np.zeros(FEATURE_CELLS), np.zeros(KINDS),
        np.zeros(COUNT_OF_SIGNALS),
    )  # fmt: skip
