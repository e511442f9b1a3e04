"""Rules evaluated on calls: first on reported facts, to find suspects; then on derived facts."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.detectors import Array
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.raising import Firing, Raising, find_not_accepted
from backwatch.detector.engine.rule_table import RuleTable
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.identity_snapshot import IdentitySnapshot
from backwatch.detector.rules.compiled_rules import Stage
from backwatch.detector.rules.correlation_state import CorrelationFirings, Correlator
from backwatch.detector.rules.fields import DOMAINS
from backwatch.detector.rules.rule_index import EntryIndex


class CallVerdicts:
    """The rules over calls and the correlations of an engine, with their caches.

    Attributes:
        table: All rules of the engine.
        correlating: The correlations.
    """

    def __init__(self, table: RuleTable) -> None:
        self.table = table
        self.index = {domain: EntryIndex(domain, table.rule_set.words) for domain in DOMAINS}
        self.number_of = {table.hashes[number]: number for number in table.numbers_over("call", "correlation")}
        """Hash to number, of the rules over calls."""
        self.suspects = np.array([rule.suspect for rule in table.rules], np.bool_)
        self.silent = np.array([rule.silent or bool(rule.escalates) for rule in table.rules], np.bool_)
        self.correlating = Correlator(table.rules)

    def begin(self, prepared: Prepared, start: int, end: int) -> "RunVerdict":
        """Return the verdicts of one run of calls."""
        return RunVerdict(self, prepared, start, end)


class RunVerdict:
    """The verdicts of one run of calls."""

    def __init__(self, verdicts: CallVerdicts, prepared: Prepared, start: int, end: int) -> None:
        self._verdicts = verdicts
        self._table = verdicts.table
        self._raising = Raising(verdicts.table, prepared, start, end)
        self._prepared = prepared
        self._start = start
        self._count = end - start
        self._rows = {
            domain: verdicts.index[domain].rows(
                prepared.entry[domain][start:end],
                verdicts.table.rule_set.evaluate_entry,
                partial(_facts_of, prepared, domain, start),
            )
            for domain in DOMAINS
        }
        self._by_reported: tuple[NDArray[np.int32], NDArray[np.int32]] = (np.empty(0, np.int32), np.empty(0, np.int32))

    def find_suspects(self, columns: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Return which calls are suspect, by the rules on reported facts."""
        self._by_reported = self._evaluate(columns, stage=1)
        rows, rules = self._by_reported
        suspect = np.zeros(self._count, np.bool_)
        suspect[rows[self._verdicts.suspects[rules]]] = True
        return suspect

    def judge(
        self,
        shard: Shard,
        columns: Mapping[str, Array],
        facts: Mapping[str, Array],
        snapshot: IdentitySnapshot,
        findings: Findings,
    ) -> None:
        """Add all verdicts of this run to the findings, and update which are open."""
        late = columns["late"]
        rows, rules = self._evaluate({**columns, **facts}, stage=3)
        # A late call is judged by the rules on reported facts only.
        is_late = late[rows]
        both = np.concatenate([_pairs(*self._by_reported), _pairs(rows[~is_late], rules[~is_late])])
        both = np.unique(both)  # a rule that fires on reported and on derived facts is one finding
        rows, rules = (both >> 16).astype(np.int32), (both & 0xFFFF).astype(np.int32)
        counted: list[CorrelationFirings] = []
        if self._verdicts.correlating.tables:
            counted, lost = self._verdicts.correlating.evaluate(shard.spaces, rows, rules, {**columns, **facts})
            shard.scalars.uncounted += lost
        raised = ~self._find_silenced(shard, rows, rules, columns) & ~self._verdicts.silent[rules]
        for number in np.unique(rules[raised]).tolist():
            fired = np.sort(rows[raised & (rules == number)])
            escalations = [
                (self._table.rules[above], rows[rules == above]) for above in self._table.escalations.get(number, ())
            ]
            firing = Firing(number, shard, columns, facts, snapshot, findings, escalations)
            self._raising.add_firings(firing, fired)
        for correlated in counted:
            more = {**facts, **correlated.facts}
            self._raising.add_firings(
                Firing(correlated.number, shard, columns, more, snapshot, findings), correlated.rows
            )  # fmt: skip
            rows = np.concatenate([rows, correlated.rows])
            rules = np.concatenate([rules, np.full(correlated.rows.shape[0], correlated.number, np.int32)])
        self._note_not_fired(shard, rows, rules, columns)  # a silenced rule's own alert, if one is open, has not ended

    def _find_silenced(
        self, shard: Shard, rows: NDArray[np.int32], rules: NDArray[np.int32], columns: Mapping[str, Array]
    ) -> NDArray[np.bool_]:
        """Return which firings another rule replaces. A firing that an operator accepted replaces none."""
        rule_set = self._table.rule_set
        takes = np.ones(rows.shape[0], np.bool_)
        if shard.expected.has_acceptances:
            for number in rule_set.superseding & set(np.unique(rules).tolist()):
                fired = np.sort(rows[rules == number])
                left = [
                    find_not_accepted(shard, alert, group, columns)
                    for alert, _, group in self._raising.by_key(number, fired)
                ]
                takes[rules == number] = np.isin(rows[rules == number], np.concatenate(left))
        return rule_set.find_superseded(rows, rules, takes)

    def _evaluate(self, columns: Mapping[str, Array], stage: Stage) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        bits = {domain: self._verdicts.index[domain].bits for domain in DOMAINS}
        return self._table.rule_set.evaluate(bits, self._rows, columns, stage)

    def _note_not_fired(
        self, shard: Shard, rows: NDArray[np.int32], rules: NDArray[np.int32], columns: Mapping[str, Array]
    ) -> None:
        for opened in shard.open.rules():
            number = self._verdicts.number_of.get(opened)
            if number is None:
                continue
            fired = columns["late"].copy()  # a late call was not judged by all rules, so it proves nothing
            fired[rows[rules == number]] = True
            space = self._table.rules[number].key
            address = self._prepared.address[space][self._start : self._start + self._count]
            shard.open.note_not_fired(opened, address, columns["time_ns"], fired)
        shard.open.run_over()


def _facts_of(prepared: Prepared, domain: str, start: int, row: int) -> Mapping[str, Any]:
    return prepared.rule_facts(start + row, domain)


def _pairs(rows: NDArray[np.int32], rules: NDArray[np.int32]) -> NDArray[np.int64]:
    return (rows.astype(np.int64) << 16) | rules
