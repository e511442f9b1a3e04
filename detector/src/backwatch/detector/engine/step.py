"""One step: an entry goes in, findings come out, and the shard has changed; whatever the batch, live and in replay.

Three strata, so that nothing depends on the order of detectors and an attack does not teach: rules on what the
collector told mark suspects; facts learn only from quiet calls; rules on facts give the rest of the verdicts.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.decoding.decoder import Decoded
from backwatch.detector.derived.numbers import NOT_BEFORE, at_event_time
from backwatch.detector.derived.text_columns import NOT_AFTER
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine import lateness, windows
from backwatch.detector.engine.clock import advance, runs
from backwatch.detector.engine.columns import Columns, Prepared
from backwatch.detector.engine.findings import Findings, SeenResource, Unreadable
from backwatch.detector.engine.intake import read_records
from backwatch.detector.engine.log_entries import Decision, Entry, Loss, ProfileVersion, Records, Tick
from backwatch.detector.engine.open_findings import rule_hash
from backwatch.detector.engine.ordering import in_order
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.verdicts import Verdicts
from backwatch.detector.engine.watermark import TimePasses, checked, undone
from backwatch.detector.identity.identities import Identities, close
from backwatch.detector.identity.identity_snapshot import Showing, news_of, quiet
from backwatch.detector.presence.presence import Presence
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.state.key_texts import resource_parts
from backwatch.detector.state.keys import FIRST, SITE_STATEMENT, SPACES, STATEMENT

RUN = 1 << 14
"""Calls judged at once; no result depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What an engine must be told.

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


class Engine:
    """Rules and detectors, ready to step any number of shards. Owned by one thread."""

    def __init__(self, config: EngineConfig, detectors: Sequence[Detector], rules: RuleSet) -> None:
        self.config = config
        self.detectors = in_order(detectors)
        self.rules = rules
        self._columns = Columns(config.key, judge_loopback=config.judge_loopback)
        self._identities = Identities(self.detectors, self.rules, self._columns.hash)
        accepts = {one.id: one.accepts for one in self.detectors if one.accepts}
        self._verdicts = Verdicts(self.rules, config.clear_after_ns, accepts)
        self._news = news_of(self.detectors)
        about = (STATEMENT.name, SITE_STATEMENT.name)
        self._of_one_statement = frozenset(rule_hash(one.name) for one in rules.rules if one.key in about)
        self._presence = Presence(self._verdicts)
        self._time = TimePasses(self.detectors, self._verdicts, config.clear_after_ns)

    def new_shard(self) -> Shard:
        """A shard that knows nothing yet."""
        return Shard(self.detectors, self._verdicts.correlating.tables, self._of_one_statement)

    def step(self, shard: Shard, entry: Entry) -> Findings:
        """Applies one entry to the shard and says what it found. No I/O, no clock but the entry's own."""
        findings = Findings()
        if shard.expected.stale:
            self._identities.restore(shard)
        if isinstance(entry, Records):
            self._records(shard, entry, findings)
        elif isinstance(entry, Tick):
            self._pass_to(shard, max(entry.watermark_ns, shard.scalars.watermark_ns), findings)
            self._presence.tick(shard, entry.watermark_ns + self.config.lateness_ns, findings)
        elif isinstance(entry, Loss):
            self._verdicts.lost(shard, entry, findings)
        elif isinstance(entry, Decision):
            self._decide(shard, entry, findings)
        elif isinstance(entry, ProfileVersion):
            self._identities.announce(shard, entry)
        else:
            shard.take_model(entry.detector, entry.arrays)
        return findings

    def _decide(self, shard: Shard, decision: Decision, findings: Findings) -> None:
        if decision.kind not in ("accept", "revoke"):
            return
        shard.scalars.accepted.pop(decision.alert_id, None)
        if decision.kind == "revoke":
            self._identities.revoke(shard, decision.alert_id)
        elif self._identities.of_values(decision):
            self._identities.accept(shard, decision, findings)
        else:
            shard.scalars.accepted[decision.alert_id] = decision.until_ns
            close(shard, decision, findings)

    def _pass_to(self, shard: Shard, watermark_ns: int, findings: Findings) -> None:
        shard.scalars.watermark_ns = watermark_ns
        self._time.to(shard, watermark_ns, findings)

    def _records(self, shard: Shard, entry: Records, findings: Findings) -> None:
        for part, decoded, prepared in read_records(entry, self._columns):
            self._take(shard, part, decoded, prepared, findings)

    def _take(
        self, shard: Shard, entry: Records, decoded: Decoded, prepared: Prepared | None, findings: Findings
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
            prepared.columns.update(at_event_time(time_ns, *valid))
            prepared.columns[_SLOT] = np.zeros(decoded.count, np.int32)
            for start, end, boundary_ns in runs(mark_ns):
                self._pass_to(shard, max(boundary_ns, shard.scalars.watermark_ns), findings)
                shard.scalars.watermark_ns = int(mark_ns[end - 1])
                for low in range(start, end, RUN):
                    self._run(shard, prepared, low, min(low + RUN, end), findings)
            _note_seen(prepared, findings)
        self._pass_to(shard, max(high, shard.scalars.watermark_ns), findings)
        self._losses(shard, decoded, entry, findings)
        self._presence.records(shard, decoded.processes, entry.appended_ns, entry.backfill, findings)

    def _losses(self, shard: Shard, decoded: Decoded, entry: Records, findings: Findings) -> None:
        for record, reason in decoded.malformed:
            findings.unreadable.append(
                Unreadable(int(entry.offsets[record]), reason, entry.values[record], int(entry.appended_ns[record]))
            )
            self._verdicts.lost(shard, Loss("quarantine", 1, int(entry.appended_ns[record])), findings)
        for record, app, kind, count in decoded.dropped:
            if count > 0:
                self._verdicts.lost(
                    shard, Loss(f"dropped.{kind}", count, int(entry.appended_ns[record]), app), findings
                )

    def _run(self, shard: Shard, prepared: Prepared, start: int, end: int, findings: Findings) -> None:
        if shard.scalars.relieved_ns != shard.scalars.boundary_ns:
            shard.scalars.uncounted += self._verdicts.correlating.count_evicted(shard.spaces, shard.scalars.boundary_ns)
            shard.relieve()
            shard.scalars.relieved_ns = shard.scalars.boundary_ns
        columns: dict[str, Array] = {name: values[start:end] for name, values in prepared.columns.items()}
        late = columns["time_ns"] < shard.scalars.boundary_ns
        columns["late"] = late
        slot, touched = self._intern(shard, prepared, columns, start, end)
        columns[_SLOT][:] = slot["resource"]
        columns |= self._identities.columns(shard, prepared, columns, slot["resource"], start)
        verdict = self._verdicts.begin(prepared, start, end)
        suspect = verdict.told(columns)
        learn = ~(suspect | columns["error"] | late)
        windows.add(
            slot["resource"], columns["time_ns"], late, columns["error"], suspect, columns[names.BYTES_SENT],
            columns[names.BYTES_RECEIVED], columns[names.ROWS_RETURNED], columns[names.ROWS_AFFECTED],
            columns["duration_ns"], columns["statement.sighting"] == FIRST, shard.windows,
        )  # fmt: skip
        facts = self._facts(shard, columns, slot, touched, learn, findings)
        calm = quiet(learn, slot["resource"], facts, self._news)
        showing = Showing(shard.shown, prepared, slot["resource"], calm, start)
        verdict.judge(shard, columns, facts, showing, findings)
        showing.learn()
        if came_late := int(late.sum()):
            findings.late += came_late
            lateness.came_late(slot["resource"], late, shard.lateness)
        findings.cut += int((columns["signs"] & _CUT != 0).sum())

    def _intern(
        self, shard: Shard, prepared: Prepared, columns: dict[str, Array], start: int, end: int
    ) -> tuple[dict[str, NDArray[np.int32]], dict[str, NDArray[np.int32]]]:
        slot: dict[str, NDArray[np.int32]] = {}
        touched: dict[str, NDArray[np.int32]] = {}
        for space in SPACES:
            above = slot[space.parent.name] if space.parent else _NONE
            name = space.name
            slot[name], sighting, touched[name] = shard.spaces[name].intern(
                prepared.address[name][start:end], above, columns["time_ns"], shard.scalars.boundary_ns
            )
            shard.overflow(shard.spaces[name])
            if space.sketched:
                columns[f"{name}.sighting"] = sighting
            elif name == "resource":
                for row in np.flatnonzero(sighting == FIRST).tolist():
                    one, parts = int(slot[name][row]), resource_parts(prepared, start + row)
                    shard.name_resource(one, parts)
                    self._identities.named(shard, one, parts)
        return slot, touched

    def _facts(
        self,
        shard: Shard,
        columns: dict[str, Array],
        slot: Mapping[str, NDArray[np.int32]],
        touched: Mapping[str, NDArray[np.int32]],
        learn: NDArray[np.bool_],
        findings: Findings,
    ) -> dict[str, Array]:
        facts: dict[str, Array] = {}
        count = learn.shape[0]
        for detector in self.detectors:
            if not detector.provides:
                continue
            tables = shard.tables(detector)
            before = {table.name: tables[table.name][touched[table.keys.name]].copy() for table in detector.tables}
            calls = Calls(count=count, columns={**columns, **facts})
            try:
                found = detector.facts(calls, slot, tables, learn)
                facts |= checked(found, detector.provides, count)
            except Exception as error:  # noqa: BLE001  one detector's fault must not silence the others
                for table in detector.tables:
                    tables[table.name][touched[table.keys.name]] = before[table.name]
                facts |= {name: np.zeros(count) for name in detector.provides}
                undone(shard, detector, count, error, findings)
        return facts


_NONE = np.empty(0, np.int32)
_SLOT = "resource.slot"
_CUT = np.uint32(1 << names.SIGNS.index("cut"))


def _note_seen(prepared: Prepared, findings: Findings) -> None:
    """Which resources had calls in this batch, each with the facts of its newest one; those without a slot are none."""
    with_slot = np.flatnonzero(prepared.columns[_SLOT])
    if not with_slot.shape[0]:
        return
    address = prepared.address["resource"][with_slot]
    time_ns = prepared.columns["time_ns"]
    order = np.argsort(address, kind="stable")
    cuts = np.flatnonzero(np.diff(address[order])) + 1
    for low, high in itertools.pairwise([0, *cuts.tolist(), address.shape[0]]):
        rows = with_slot[order[low:high]]
        newest = int(rows[np.argmax(time_ns[rows])])
        findings.seen.append(
            SeenResource(
                parts=resource_parts(prepared, newest),
                first_ns=int(time_ns[rows].min()),
                last_ns=int(time_ns[newest]),
                calls=int(rows.shape[0]),
                errors=int(prepared.columns["error"][rows].sum()),
                facts=prepared.decoded.session_facts(newest),
            )
        )
