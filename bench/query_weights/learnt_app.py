"""One application as the detector knows it: the product's own kernels, without a stream."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.injection import COUNT_OF_SIGNALS, compose
from backwatch.detector.statements.structure.difference import describe
from backwatch.detector.statements.structure.encoding import MAX_TOKENS
from backwatch.detector.statements.structure.features import FEATURE_CELLS
from backwatch.detector.statements.structure.grammar import KIND_CELLS as KINDS
from backwatch.detector.statements.structure.grammar import check_grammar
from backwatch.detector.statements.structure.known import (
    NOTHING,
    RESOURCE_STRUCTURE,
    SITE_STRUCTURE,
    find_home,
    learn_statement,
    nearest,
)
from bench.query_weights.records import Reading, Record, read, select_training, text_of

MAX_SITES = 1_024


class LearntApp:
    """Call sites of one application, or families of statements where none are reported.

    Args:
        dialect: Of all its statements.
        call_sites: Whether they are reported.
    """

    def __init__(self, dialect: str, *, call_sites: bool) -> None:
        self.dialect, self.call_sites = dialect, call_sites
        self._sites = np.zeros(MAX_SITES, SITE_STRUCTURE)
        self._resource = np.zeros(2, RESOURCE_STRUCTURE)
        self._slots: dict[str, int] = {}
        self._seen: dict[str, Counter[str]] = {}
        self._known: set[str] = set()

    def learn(self, text: str, site: str) -> None:
        """Learn a quiet statement."""
        reading = read(text, self.dialect)
        place = site if self.call_sites else reading.family
        slot = self._slots.setdefault(place, len(self._slots) + 1)
        seen = self._seen.setdefault(place, Counter())
        seen[reading.canonical] += 1
        if seen[reading.canonical] == 1:
            self._known.add(reading.canonical)
            learn_statement(self._sites[slot], self._resource[1], (slot, 1), *reading.statement)

    def signals(self, text: str, site: str) -> NDArray[np.float64] | None:
        """Return the signals of a statement; ``None`` where it is known at its place."""
        reading = read(text, self.dialect)
        place = site if self.call_sites else reading.family
        if self._seen.get(place, Counter())[reading.canonical]:
            return None
        home, known = self._home(reading, place)
        added, removed = np.zeros(MAX_TOKENS, np.uint8), np.zeros(MAX_TOKENS, np.uint8)
        features, kinds, signals = np.zeros(FEATURE_CELLS), np.zeros(KINDS), np.zeros(COUNT_OF_SIGNALS)
        filters = self._sites[home]["known"], self._resource[1]
        describe(known, reading.statement, (added, removed), filters, features)
        check_grammar(reading.statement[0], reading.statement[3], kinds)
        elsewhere = reading.canonical in self._known
        compose(features, kinds, reading.signs, self._get_unseen_share(home), elsewhere, signals)
        return signals

    def _home(self, reading: Reading, place: str) -> tuple[int, NDArray[np.uint16]]:
        """Return the slot whose statements this one is compared with, and the nearest of them."""
        codes, _, _, count = reading.statement
        best = -np.inf
        home, known = 0, NOTHING
        own = self._slots.get(place, 0)
        found = 0 if self.call_sites else find_home(self._resource[1], self._sites, 1, *reading.statement)
        for slot in {own, found} - {0}:
            offset, size, fit = nearest(self._sites[slot], codes, count)
            if size and fit > best:
                best, home, known = fit, slot, self._sites[slot]["arena"][offset : offset + size]
        return home, known

    def _get_unseen_share(self, slot: int) -> float:
        place = next((name for name, at in self._slots.items() if at == slot), "")
        seen = self._seen.get(place, Counter[str]())
        once = sum(1 for count in seen.values() if count == 1)
        return min(1.0, (once + 1) / (seen.total() + 1))


def learn_app(
    records: Sequence[Record], *, call_sites: bool, sanitised: bool, without: Collection[str] = ()
) -> LearntApp:
    """Return an application after its training phase, some call sites left out."""
    app = LearntApp(records[0]["dialect"], call_sites=call_sites)
    for record in select_training(records):
        if record["tid"] not in without:
            app.learn(text_of(record, sanitised=sanitised), record["tid"])
    return app
