"""One step: a log entry goes in, findings come out, and the shard has changed.

Results do not depend on the batch size, and are the same live and in replay. Calls are judged in three strata, so that
nothing depends on the order of detectors, and an attack does not teach:

1. Rules on reported facts mark suspects.
2. Detectors derive facts, and learn from quiet calls only.
3. Rules on derived facts give the remaining verdicts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact
from backwatch.detector.columns.key_texts import resource_parts
from backwatch.detector.columns.prepared import Columns, Prepared
from backwatch.detector.decoding.decoder import DecodedCalls
from backwatch.detector.derived.numbers import NOT_BEFORE, certificate_days
from backwatch.detector.derived.text_columns import NOT_AFTER
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine import lateness, windows
from backwatch.detector.engine.approvals import Approvals
from backwatch.detector.engine.call_verdicts import CallVerdicts
from backwatch.detector.engine.clock import advance, runs
from backwatch.detector.engine.findings import Findings, SeenResource, UnreadableRecord, name_values
from backwatch.detector.engine.identities import Identities, close
from backwatch.detector.engine.intake import read_records
from backwatch.detector.engine.log_entries import Decision, LogEntry, Loss, ProfileVersion, StreamRecords, Tick
from backwatch.detector.engine.open_findings import rule_hash
from backwatch.detector.engine.ordering import in_order
from backwatch.detector.engine.presence import Presence
from backwatch.detector.engine.rule_table import RuleTable
from backwatch.detector.engine.seen import sum_seen
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.verdicts import Verdicts
from backwatch.detector.engine.watermark import Watermark, check_facts, note_undone
from backwatch.detector.identity.identity_snapshot import IdentitySnapshot, identity_changes_of, quiet
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.state.keys import FIRST, SITE_STATEMENT, SPACES, STATEMENT
from backwatch.detector.statements.structure.batch import Tokens

MAX_RUN_CALLS = 1 << 14
"""Calls judged at once. Results do not depend on it."""
_NO_PARENT = np.empty(0, np.int32)
_SLOT = "resource.slot"
_CUT = np.uint32(1 << names.SIGNS.index("cut"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Settings of an engine.

    Attributes:
        key: 16 bytes, the installation's: in-process addresses are hashed under it.
        lateness_ns: How long after its record's append a call may have ended and still be counted in its window.
        clear_after_ns: Event time without a firing after which a finding clears.
        judge_loopback: Plaintext and unverified sessions to loopback addresses are judged as any other.
    """

    key: bytes = bytes(16)
    lateness_ns: int = 180 * 10**9
    clear_after_ns: int = 86_400 * 10**9
    judge_loopback: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """Calls that are judged at once.

    Attributes:
        prepared: The batch.
        start, end: The run's rows of it.
        columns: Name to array of the run's calls.
        slot: Key space to the slot of each call.
        touched: Key space to the distinct slots.
    """

    prepared: Prepared
    start: int
    end: int
    columns: dict[str, Array]
    slot: Mapping[str, NDArray[np.int32]]
    touched: Mapping[str, NDArray[np.int32]]

    @property
    def resource(self) -> NDArray[np.int32]:
        """RESOURCE slot of each call."""
        return self.slot["resource"]

    def tokens(self, rows: NDArray[np.int64]) -> Tokens:
        """Return the tokens of the statements of some of the run's calls."""
        found = self.prepared.tokens(rows + self.start)
        return replace(found, of_call=found.of_call[self.start : self.end])


class Engine:
    """Rules and detectors, ready to step any number of shards. Owned by one thread."""

    def __init__(self, config: EngineConfig, detectors: Sequence[Detector], rules: RuleSet) -> None:
        self.config = config
        self.detectors = in_order(detectors)
        self.rules = rules
        self._columns = Columns(config.key, judge_loopback=config.judge_loopback)
        self._identities = Identities(self.detectors, self.rules, self._columns.hash)
        self._approvals = Approvals(self._columns.hash)
        accepts = {detector.id: detector.accepts for detector in self.detectors if detector.accepts}
        named = {
            fact.name: fact for detector in self.detectors for fact in detector.derives if fact.values or fact.bits
        }
        table = RuleTable(rules, accepts, named)
        self._shown = [fact for detector in self.detectors for fact in detector.derives if fact.name in detector.shows]
        self._call_verdicts = CallVerdicts(table)
        self._verdicts = Verdicts(table, config.clear_after_ns)
        self._identity_changes = identity_changes_of(self.detectors)
        of_statements = (STATEMENT.name, SITE_STATEMENT.name)
        self._of_one_statement = frozenset(rule_hash(rule.name) for rule in table.rules if rule.key in of_statements)
        self._presence = Presence(self._verdicts)
        self._watermark = Watermark(self.detectors, self._verdicts, config.clear_after_ns)

    def new_shard(self) -> Shard:
        """Return an empty shard."""
        return Shard(self.detectors, self._call_verdicts.correlating.tables, self._of_one_statement)

    def step(self, shard: Shard, entry: LogEntry) -> Findings:
        """Apply one log entry to the shard and return the findings. No I/O, and no clock but the entry's own."""
        findings = Findings()
        if shard.expected.stale:
            self._identities.restore(shard)
        if shard.approved.stale:
            self._approvals.restore(shard)
        if isinstance(entry, StreamRecords):
            for part, decoded, prepared in read_records(entry, self._columns):
                self._judge_records(shard, part, decoded, prepared, findings)
        elif isinstance(entry, Tick):
            self._advance(shard, entry.watermark_ns, findings)
            self._presence.tick(shard, entry.watermark_ns + self.config.lateness_ns, findings)
        elif isinstance(entry, Loss):
            self._verdicts.judge_loss(shard, entry, findings)
        elif isinstance(entry, Decision):
            self._decide(shard, entry, findings)
        elif isinstance(entry, ProfileVersion):
            self._identities.announce(shard, entry)
            self._approvals.enforce(shard, entry)
        else:
            shard.take_model(entry.detector, entry.arrays)
        return findings

    def _decide(self, shard: Shard, decision: Decision, findings: Findings) -> None:
        if decision.kind not in ("accept", "revoke"):
            return
        shard.expected.silenced.pop(decision.alert_id, None)
        if decision.kind == "revoke":
            self._identities.revoke(shard, decision.alert_id)
        elif self._identities.of_values(decision):
            self._identities.accept(shard, decision, findings)
        else:
            shard.expected.silenced[decision.alert_id] = decision.until_ns
            close(shard, decision, findings)

    def _advance(self, shard: Shard, watermark_ns: int, findings: Findings) -> None:
        """Advance the watermark; it never goes back."""
        shard.scalars.watermark_ns = max(watermark_ns, shard.scalars.watermark_ns)
        self._watermark.advance(shard, shard.scalars.watermark_ns, findings)

    def _judge_records(
        self, shard: Shard, entry: StreamRecords, decoded: DecodedCalls, prepared: Prepared | None, findings: Findings
    ) -> None:
        findings.spans += decoded.spans
        findings.calls += decoded.count
        time_ns, mark_ns, high = advance(
            decoded.record, decoded.end_ns, entry.appended_ns, entry.backfill, self.config.lateness_ns,
            shard.scalars.watermark_ns,
        )  # fmt: skip
        if prepared is not None:
            prepared.columns["time_ns"] = time_ns
            valid = prepared.columns[NOT_BEFORE], prepared.columns[NOT_AFTER]
            prepared.columns.update(certificate_days(time_ns, *valid))
            prepared.columns[_SLOT] = np.zeros(decoded.count, np.int32)
            prepared.columns.update({fact.name: np.full(decoded.count, np.nan) for fact in self._shown})
            for start, end, boundary_ns in runs(mark_ns):
                self._advance(shard, boundary_ns, findings)
                shard.scalars.watermark_ns = int(mark_ns[end - 1])
                for low in range(start, end, MAX_RUN_CALLS):
                    self._judge_run(shard, prepared, low, min(low + MAX_RUN_CALLS, end), findings)
            _note_seen(prepared, findings, self._shown)
        self._advance(shard, high, findings)
        self._count_losses(shard, decoded, entry, findings)
        self._presence.records(shard, decoded.processes, entry.appended_ns, entry.backfill, findings)

    def _count_losses(self, shard: Shard, decoded: DecodedCalls, entry: StreamRecords, findings: Findings) -> None:
        for record, reason in decoded.malformed:
            appended_ns = int(entry.appended_ns[record])
            findings.unreadable.append(
                UnreadableRecord(int(entry.offsets[record]), reason, entry.values[record], appended_ns)
            )  # fmt: skip
            self._verdicts.judge_loss(shard, Loss("quarantine", 1, appended_ns), findings)
        for record, app, kind, count in decoded.dropped:
            if count > 0:
                loss = Loss(f"dropped.{kind}", count, int(entry.appended_ns[record]), app)
                self._verdicts.judge_loss(shard, loss, findings)

    def _judge_run(self, shard: Shard, prepared: Prepared, start: int, end: int, findings: Findings) -> None:
        self._relieve(shard)
        run = self._begin_run(shard, prepared, start, end)
        columns = run.columns
        # 1. Rules on reported facts mark suspects.
        verdict = self._call_verdicts.begin(prepared, start, end)
        suspect = verdict.find_suspects(columns)
        # 2. Detectors derive facts, and learn from quiet calls only.
        learn = ~(suspect | columns["error"] | columns["late"])
        windows.add_calls(run.resource, columns, suspect, shard.windows)
        facts = self._derive_facts(shard, run, learn, findings)
        for fact in self._shown:
            prepared.columns[fact.name][start:end] = facts[fact.name]
        # 3. Rules on derived facts give the remaining verdicts.
        unchanged = quiet(learn, run.resource, facts, self._identity_changes)
        snapshot = IdentitySnapshot(shard.shown, prepared, run.resource, unchanged, start)
        verdict.judge(shard, columns, facts, snapshot, findings)
        snapshot.learn()
        self._count_late(shard, run, findings)

    def _relieve(self, shard: Shard) -> None:
        """Reclaim slots, once per boundary, wherever a key space is nearly full."""
        boundary_ns = shard.scalars.boundary_ns
        if shard.scalars.relieved_ns != boundary_ns:
            shard.scalars.uncounted += self._call_verdicts.correlating.count_evicted(shard.spaces, boundary_ns)
            shard.relieve()
            shard.scalars.relieved_ns = boundary_ns

    def _begin_run(self, shard: Shard, prepared: Prepared, start: int, end: int) -> _Run:
        """Intern the calls' keys, and add the columns that depend on the shard."""
        columns: dict[str, Array] = {name: values[start:end] for name, values in prepared.columns.items()}
        columns["late"] = columns["time_ns"] < shard.scalars.boundary_ns
        slot: dict[str, NDArray[np.int32]] = {}
        touched: dict[str, NDArray[np.int32]] = {}
        for space in SPACES:
            above = slot[space.parent.name] if space.parent else _NO_PARENT
            name = space.name
            slot[name], sighting, touched[name] = shard.spaces[name].intern(
                prepared.address[name][start:end], above, columns["time_ns"], shard.scalars.boundary_ns
            )
            shard.overflow(shard.spaces[name])
            if space.sketched:
                columns[f"{name}.sighting"] = sighting
            elif name == "resource":
                self._name_resources(shard, prepared, start, slot[name], sighting)
        columns[_SLOT][:] = slot["resource"]
        columns |= self._identities.columns(shard, prepared, columns, slot["resource"], start)
        columns |= self._approvals.columns(shard, columns, slot["resource"])
        return _Run(prepared, start, end, columns, slot, touched)

    def _name_resources(
        self, shard: Shard, prepared: Prepared, start: int, slot: NDArray[np.int32], sighting: NDArray[np.int8]
    ) -> None:
        for row in np.flatnonzero(sighting == FIRST).tolist():
            parts = resource_parts(prepared, start + row)
            shard.name_resource(int(slot[row]), parts)
            self._identities.apply_to_new_resource(shard, int(slot[row]), parts)
            self._approvals.apply_to_new_resource(shard, int(slot[row]), parts)

    def _derive_facts(
        self, shard: Shard, run: _Run, learn: NDArray[np.bool_], findings: Findings
    ) -> dict[str, Array]:  # fmt: skip
        facts: dict[str, Array] = {}
        count = learn.shape[0]
        columns = {**run.columns}
        calls = Calls(count=count, columns=columns, tokens_of=run.tokens)
        for detector in self.detectors:
            if not detector.provides:
                continue
            tables = shard.tables(detector)
            before = {table.name: tables[table.name].take(run.touched[table.keys.name]) for table in detector.tables}
            try:
                found = detector.facts(calls, run.slot, tables, learn)
                found = check_facts(found, detector.provides, count)
            except Exception as error:  # noqa: BLE001  one detector's fault must not silence the others
                for table in detector.tables:
                    tables[table.name][run.touched[table.keys.name]] = before[table.name]
                found = {name: np.zeros(count) for name in detector.provides}
                note_undone(shard, detector, count, error, findings)
            facts |= found
            columns |= found
        return facts

    def _count_late(self, shard: Shard, run: _Run, findings: Findings) -> None:
        late = run.columns["late"]
        if count := int(late.sum()):
            findings.late += count
            lateness.count_late(run.resource, late, shard.lateness)
        findings.cut += int((run.columns["signs"] & _CUT != 0).sum())


def _note_seen(prepared: Prepared, findings: Findings, shown: Sequence[Fact]) -> None:
    """Add each resource that had calls in this batch, with the facts of its newest call. Slot 0 is left out."""
    columns, address = prepared.columns, prepared.address["resource"]
    found = np.empty((4, address.shape[0]), np.int64)
    count = sum_seen(address, columns[_SLOT], columns["time_ns"], columns["error"], found)
    for at in np.argsort(address[found[0, :count]]).tolist():
        newest, first_ns, calls, errors = found[:, at].tolist()
        derived = name_values((fact, columns[fact.name][newest]) for fact in shown)
        findings.seen.append(
            SeenResource(
                parts=resource_parts(prepared, newest), first_ns=first_ns, last_ns=int(columns["time_ns"][newest]),
                calls=calls, errors=errors, facts={**prepared.decoded.session_facts(newest), **derived},
            )
        )  # fmt: skip
