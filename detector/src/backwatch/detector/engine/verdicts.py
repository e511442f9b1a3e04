"""Rules evaluated on closed windows, losses and missed processes, which no single call causes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.loss import LOSS_COUNT, LOSS_KIND
from backwatch.collector.facts.process import WATCH_LOST
from backwatch.detector.columns.key_texts import Key, alert_id, part, resource_key
from backwatch.detector.detectors import Array, ClosedWindows
from backwatch.detector.engine.findings import Findings, Firings, as_evidence
from backwatch.detector.engine.folding import FOLD_KEYS, FOLD_SCOPE, SCOPES, fold_key, scope_to_open, window_scope_keys
from backwatch.detector.engine.log_entries import Loss
from backwatch.detector.engine.open_findings import NOT_UNDER, keys_of
from backwatch.detector.engine.raising import is_accepted, is_known
from backwatch.detector.engine.rule_table import RuleTable
from backwatch.detector.engine.shard import Shard
from backwatch.detector.rules.compiled_rules import matches
from backwatch.detector.rules.filters import TIME

MAX_LOSS_ALERTS: Final = 256
"""Alerts about losses, by app and kind, that may fire within the clearing time; further ones fold."""
MAX_PROCESS_ALERTS: Final = 256
"""Alerts of one rule about processes, by app, host and state, that may fire within that time; further ones fold."""
_ID_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Firing:
    """One firing of a rule without a call.

    Attributes:
        number: The rule's.
        address: Of the key in its key space; 0: the finding is not tracked as open.
        under: Keys of the folds whose scopes it is in.
    """

    number: int
    key: Key
    times: NDArray[np.int64]
    evidence: Mapping[str, Any]
    address: int = 0
    under: Sequence[int] = NOT_UNDER


class Verdicts:
    """The rules of an engine that are not over calls."""

    def __init__(self, table: RuleTable, clear_after_ns: int) -> None:
        self.table = table
        self.clear_after_ns = clear_after_ns
        self._over_windows = table.numbers_over("window")
        self._over_losses = table.numbers_over("loss")
        self._over_processes = table.numbers_over("process")

    def judge_windows(
        self, shard: Shard, closed: ClosedWindows, facts: Mapping[str, Array], findings: Findings
    ) -> None:
        """Evaluate the window rules on windows that just closed."""
        address = shard.spaces["resource"].keys[closed.slot]
        for number in self._over_windows:
            rule = self.table.rules[number]
            fired = np.zeros(closed.slot.shape[0], np.bool_)
            for i, slot in enumerate(closed.slot.tolist()):
                sums = {name: values[i].item() for name, values in closed.columns.items()}
                values = {**sums, **{name: computed[i].item() for name, computed in facts.items()}}
                if not matches(rule, {**values, TIME: int(closed.end_ns[i])}):
                    continue
                fired[i] = True
                named = as_evidence((name, values[name]) for name in self.table.evidence[number] if name in values)
                firing = _Firing(
                    number=number, key=resource_key(shard.resources[slot]), times=closed.end_ns[i : i + 1],
                    evidence={**sums, **named}, address=int(address[i]),
                )  # fmt: skip
                self._raise_window(shard, slot, firing, findings)
            shard.open.note_not_fired(self.table.hashes[number], address, closed.end_ns, fired)

    def judge_loss(self, shard: Shard, loss: Loss, findings: Findings) -> None:
        """Count a loss, unless it is counted already, and evaluate the loss rules on it."""
        if not loss.counted:
            findings.losses[loss.kind] = findings.losses.get(loss.kind, 0) + loss.count
        evidence = {LOSS_KIND: loss.kind, LOSS_COUNT: loss.count, names.SERVICE_NAME: loss.app}
        for number in self._over_losses:
            if matches(self.table.rules[number], {**evidence, TIME: loss.time_ns}):
                app = part(loss.app)
                text = f"loss\x1f{app}\x1f{loss.kind}"
                key = Key(text=text, app=app, resource="backwatch", label=loss.kind, resource_id="")
                key = self._loss_key(shard, number, key, loss.time_ns)
                times = np.array([loss.time_ns], np.int64)
                self._raise(shard, _Firing(number=number, key=key, times=times, evidence=evidence), findings)

    def _loss_key(self, shard: Shard, number: int, key: Key, time_ns: int) -> Key:
        """Return the key; the shared key if too many apps and kinds had losses recently."""
        alert = alert_id(self.table.rules[number].name, key.text)
        if self._has_room(shard.scalars.loss_alerts, alert, MAX_LOSS_ALERTS, time_ns):
            return key
        return Key(text="\x1efold\x1floss", app="", resource="backwatch", label="many losses", resource_id="")

    def _process_key(self, shard: Shard, number: int, key: Key, time_ns: int) -> Key:
        """Return the key; the shared key if too many apps and hosts were missed recently."""
        name = self.table.rules[number].name
        recent = shard.processes.late.setdefault(name, {})
        alert = alert_id(name, key.text)
        if self._has_room(recent, alert, MAX_PROCESS_ALERTS, time_ns):
            return key
        # Named by the first that joins, whose app is of this shard alone: shards must not clear each other's alerts.
        text = f"\x1efold\x1fprocess\x1f{shard.processes.folds.setdefault(name, alert[:_ID_CHARACTERS])}"
        return Key(text=text, app="", resource="backwatch", label="many processes", resource_id="")

    def _has_room(self, recent: dict[str, int], alert: str, limit: int, time_ns: int) -> bool:
        """Return whether this alert is among at most ``limit`` different ones that fired recently."""
        short = alert[:_ID_CHARACTERS]
        if short not in recent and len(recent) >= limit:
            for other in [other for other, last_ns in recent.items() if last_ns + self.clear_after_ns <= time_ns]:
                del recent[other]
            if len(recent) >= limit:
                return False
        recent[short] = max(time_ns, recent.get(short, 0))
        return True

    def _raise_window(self, shard: Shard, slot: int, firing: _Firing, findings: Findings) -> None:
        """Raise the alert of the window's resource, or of the fold that it joins."""
        rule, rule_hash = self.table.rules[firing.number], self.table.hashes[firing.number]
        key, time_ns = firing.key, int(firing.times[-1])
        if is_accepted(shard, alert_id(rule.name, key.text), time_ns):
            return
        keys = keys_of(rule_hash, np.array([firing.address], np.uint64))
        if shard.open.find(keys)[0] >= 0:
            self._raise(shard, firing, findings)
            return
        known = bool(is_known(shard, np.array([slot]))[0])
        app = int.from_bytes(hashlib.blake2b(key.app.encode(), digest_size=8).digest(), "little")
        scopes = window_scope_keys(rule_hash, app, known=known)
        under: list[int] = scopes[:, 0].tolist()
        open_already = np.flatnonzero((shard.open.find(scopes[:, 0]) >= 0) & (scopes[:, 0] != 0))
        scope = int(open_already[0]) if open_already.shape[0] else scope_to_open(
            shard.open, under, rule, known=known, crowded=shard.scalars.crowded
        )  # fmt: skip
        if scope < 0:
            self._raise(shard, replace(firing, under=under), findings)
            return
        folded = fold_key(scope, key, "", known=known)
        folded_id = alert_id(rule.name, folded.text)
        if is_accepted(shard, folded_id, time_ns):
            return
        above = [0 if at <= scope else scope_key for at, scope_key in enumerate(under)]
        counts = shard.open.note_fold(rule_hash, under[scope], bytes.fromhex(folded_id), time_ns, 0, above, keys)
        evidence = {**firing.evidence, FOLD_SCOPE: SCOPES[scope], FOLD_KEYS: int(counts[-1])}
        self._raise(shard, replace(firing, key=folded, evidence=evidence, address=0), findings)

    def judge_missed(
        self, shard: Shard, app: str, host: str, facts: Mapping[str, Any], time_ns: int, findings: Findings
    ) -> list[str]:
        """Evaluate the process rules on a missed process or app; return the raised alerts' ids."""
        raised: list[str] = []
        evidence = {**facts, names.SERVICE_NAME: app}
        app, label = part(app), f"{facts[WATCH_LOST]} {part(host)}".strip()
        for number in self._over_processes:
            if matches(self.table.rules[number], {**evidence, TIME: time_ns}):
                text = f"watch\x1f{app}\x1f{label}"
                key = Key(text=text, app=app, resource="backwatch", label=label, resource_id="")
                key = self._process_key(shard, number, key, time_ns)
                times = np.array([time_ns], np.int64)
                if self._raise(shard, _Firing(number=number, key=key, times=times, evidence=evidence), findings):
                    raised.append(alert_id(self.table.rules[number].name, key.text))
        return raised

    def _raise(self, shard: Shard, firing: _Firing, findings: Findings) -> bool:
        """Raise the firing's alert unless it is accepted; return whether it was raised."""
        rule, times = self.table.rules[firing.number], firing.times
        alert = alert_id(rule.name, firing.key.text)
        if is_accepted(shard, alert, int(times[-1])):
            return False
        if firing.address:
            shard.open.note_firing(
                self.table.hashes[firing.number], firing.address, bytes.fromhex(alert), int(times[-1]),
                under=firing.under,
            )  # fmt: skip
        findings.events.append(
            Firings(
                rule=rule, alert_id=alert, key=firing.key, decoded=None, rows=np.empty(0, np.int32), times=times,
                facts={}, evidence=firing.evidence,
            )
        )  # fmt: skip
        return True
