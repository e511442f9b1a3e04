"""The alert that a partition is not judged. Any live member raises and clears it from the groups' progress.

The engine cannot raise it: its findings come from reading partitions, and the one that is not read may be the only one.
So the alert is written straight to the store, under an id that depends on the group alone: members that see the same
stall write the same alert.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa

from backwatch.collector.facts.loss import LOSS_COUNT, LOSS_KIND
from backwatch.detector.columns.key_texts import alert_id
from backwatch.detector.rules.sigma import Rule
from backwatch.store import alerts, tables
from backwatch.store.commit import AlertRound, ClearedAlert, Occurrence, RaisedAlert
from backwatch.store.progress import PartitionProgress
from backwatch.store.transactions import reading, writing

logger = logging.getLogger("backwatch")

RULE: Final = "detector-lag"
KIND: Final = "lag"
STALL_NS: Final = 30 * 10**9
"""How long a partition may stand still, or be covered by no member, before the alert is raised."""
CALM_NS: Final = 15 * 10**9
"""How long nothing may stand still before it clears."""
BLIND_NS: Final = 15 * 10**9
"""After so long without a check this member could not see the store: the others' rows may be old for the same cause."""
CLOCK_STOPPED: Final = "time does not pass"
"""Begins the reason of a partition whose ticks fail: windows do not close, and the alert about it is critical."""
MAX_NAMED: Final = 20
"""Partitions named in the evidence."""


class LagAlert:
    """The lag alert of one consumer group and topic."""

    def __init__(
        self, store: sa.Engine, group: str, topic: str, rule: Rule | None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._store, self._group, self._topic, self._rule, self._clock_ns = store, group, topic, rule, clock_ns
        self.id = alert_id(RULE, f"{KIND}\x1f{group}\x1f{topic}")
        self._since_ns = self._checked_ns = self._stood_ns = clock_ns()

    def check(self, rows: Mapping[int, PartitionProgress], ends: Mapping[int, int]) -> None:
        """Raise the alert if a partition does not advance; clear it if none has stood still for a while.

        Args:
            rows: The group's progress by partition, every member's.
            ends: End of the log by partition of the topic; empty: not known, and no partition counts as uncovered.
        """
        rule = self._rule
        if rule is None:
            return
        now_ns = self._clock_ns()
        if now_ns - self._checked_ns > BLIND_NS:
            self._since_ns = now_ns
        self._checked_ns = now_ns
        standing = self._find_stalled(rows, ends, now_ns)
        with reading(self._store) as connection:
            table = tables.alert
            raised = bool(connection.scalar(sa.select(table.c.raised).where(table.c.id == self.id)))
        if standing or self._is_unreported(rows, ends, now_ns):
            self._stood_ns = now_ns
            if standing and not raised:
                self._raise(rule, standing, now_ns)
        elif raised and now_ns - self._stood_ns >= CALM_NS:
            with writing(self._store) as connection:
                alerts.apply(connection, [AlertRound(cleared=[ClearedAlert(alert_id=self.id, time_ns=now_ns)])], now_ns)
            logger.warning("backwatch: every partition of %s is read again by group %s", self._topic, self._group)

    def _find_stalled(
        self, rows: Mapping[int, PartitionProgress], ends: Mapping[int, int], now_ns: int
    ) -> dict[int, tuple[int, str, str]]:
        """Return lag, reason and member of each partition that stands still."""
        found: dict[int, tuple[int, str, str]] = {}
        for partition in sorted(ends.keys() | rows.keys()):
            row = rows.get(partition)
            if row is not None and now_ns - row.updated_ns <= STALL_NS:
                # With a reason, the end of the log may be unknown: a broker that is away shows no lag.
                if (row.lag > 0 or row.reason) and now_ns - row.advanced_ns > STALL_NS:
                    found[partition] = (row.lag, row.reason or "it is not read", row.member)
            elif partition in ends and now_ns - self._since_ns > STALL_NS:
                lag = max(0, ends[partition] - (row.next_offset if row else 0))
                found[partition] = (lag, "no member of the group holds it", row.member if row else "")
        return found

    def _is_unreported(self, rows: Mapping[int, PartitionProgress], ends: Mapping[int, int], now_ns: int) -> bool:
        """Return whether a partition has had no report for so long that this member cannot judge it as advancing.

        It raises nothing yet, and must not clear what a member that has watched for longer raised: the two would take
        turns, an event each time.
        """
        return any(
            now_ns - row.updated_ns > STALL_NS for partition, row in rows.items() if not ends or partition in ends
        )

    def _raise(self, rule: Rule, standing: Mapping[int, tuple[int, str, str]], now_ns: int) -> None:
        first = min(standing, key=lambda partition: (not standing[partition][1].startswith(CLOCK_STOPPED), partition))
        lag, reason, member = standing[first]
        level = "critical" if reason.startswith(CLOCK_STOPPED) else rule.level
        evidence = {
            LOSS_KIND: KIND, LOSS_COUNT: sum(found[0] for found in standing.values()),
            "backwatch.lag.group": self._group, "backwatch.lag.topic": self._topic,
            "backwatch.lag.partitions": ", ".join(str(partition) for partition in sorted(standing)[:MAX_NAMED]),
            "backwatch.lag.reason": reason[:300], "backwatch.lag.member": member,
        }  # fmt: skip
        about = RaisedAlert(
            alert_id=self.id, rule=rule.name, level=level, resource_id="", app="",
            resource="backwatch", key=f"{KIND}.{self._group}", count=1, first_ns=now_ns, last_ns=now_ns,
            occurrences=[Occurrence(time_ns=now_ns, trace_id="", span_id="", evidence=evidence)],
        )  # fmt: skip
        with writing(self._store) as connection:
            alerts.apply(connection, [AlertRound(raised=[about])], now_ns)
        logger.error(
            "backwatch: group %s does not advance in %d partition(s) of %s; in %d: %s (%d records behind)",
            self._group, len(standing), self._topic, first, reason[:300], lag,
        )  # fmt: skip
