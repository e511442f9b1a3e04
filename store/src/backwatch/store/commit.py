"""What one commit of a shard carries: everything that became true in one transaction, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Fenced(RuntimeError):
    """Another owner has committed for this shard: drop it, load it anew, commit nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One time that a rule fired.

    Attributes:
        trace_id, span_id: Lower-case hex; empty where no call made it (a window).
        evidence: Bounded, JSON; attacker-controlled text inside, redacted, never trusted.
    """

    time_ns: int
    trace_id: str
    span_id: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedAlert:
    """A rule fired ``count`` times for one key since the last commit.

    Attributes:
        alert_id: ``SHA-256(rule, key)``, lower-case hex.
        rule: The rule's name.
        level: informational, low, medium, high, critical.
        resource_id: SHA-256 of the resource's key text, lower-case hex; ``""`` for an alert about Backwatch itself.
        app, resource, key: Text for people: the app, the resource, and what within it the alert is about.
        begin_ns: Time of the firing that comes first in the stream. Unlike ``first_ns``, the earliest time, it is the
            same however the stream is cut into commits, so ids of events are made of it. 0: ``first_ns``.
        escalated_to, escalated_ns: Higher level that the alert came to, and since when; empty: none.
        occurrences: The newest ones and those that :func:`~backwatch.store.ring.choose_kept` adds, oldest first.
        accepts: Names of the facts in its evidence that the rule speaks of: those which are accepted on its alerts.
    """

    alert_id: str
    rule: str
    level: str
    resource_id: str
    app: str
    resource: str
    key: str
    count: int
    first_ns: int
    last_ns: int
    occurrences: Sequence[Occurrence]
    accepts: Sequence[str] = ()
    begin_ns: int = 0
    escalated_to: str = ""
    escalated_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearedAlert:
    """The engine saw the rule not fire for long enough."""

    alert_id: str
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceActivity:
    """A resource that had calls since the last commit.

    Attributes:
        facts: The newest session's facts by contract name.
    """

    resource_id: str
    app: str
    system: str
    endpoint: str
    namespace: str
    first_ns: int
    last_ns: int
    calls: int
    errors: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenProcess:
    """A watched process of an app, as its newest heartbeat and the engine's judgement show it.

    Attributes:
        instance: Random digits that name the process; process ids come again.
        parent: Instance of the process that forked it, or empty.
        state: running, ended (with a farewell), gone, replaced, brief, silent, undelivered or unfollowed.
        since_ns: When it came into that state.
        started_ns: By its own clock; all others by the stream's.
        interval_ns: It promises a heartbeat within so long.
        recorded, delivered, dropped: Counts of calls, and of dropped records, since it began.
    """

    instance: str
    app: str
    host: str
    pid: int
    parent: str
    state: str
    since_ns: int
    started_ns: int
    first_ns: int
    heard_ns: int
    interval_ns: int
    recorded: int
    delivered: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """Sums over one closed window of one resource."""

    resource_id: str
    end_ns: int
    calls: int
    errors: int
    suspects: int
    bytes_sent: int
    bytes_received: int
    rows_returned: int
    rows_affected: int
    duration_ns: int
    new_statements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedRecord:
    """A record that cannot be read: its bytes are kept."""

    partition: int
    offset: int
    reason: str
    value: bytes
    appended_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRound:
    """Raises, then clears. What was raised again after it had cleared comes in a later round of the same commit."""

    raised: Sequence[RaisedAlert] = ()
    cleared: Sequence[ClearedAlert] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One transaction of a shard.

    Attributes:
        seq: The number of the last commit, which must still be the last one: the fence.
        next_offset: First stream offset not covered.
        entry_id: Last entry applied.
        base: ``next_offset``, ``watermark_ns`` and ``entry_id`` of the last commit, which the store must still have;
            ``None``: not compared. A number alone may come again: after a failover that lost commits, or a restore,
            another owner counts on from an earlier one.
        delta: Dirty rows since the last commit, opaque here; ``b""``: none.
        snapshot: The whole state, when the deltas outweigh it: then the older deltas go.
        losses: Kind to count: added to the counters.
        counters: Further counters by name (late calls, cut statements, spans read).
        topic_id: The topic in which ``next_offset`` counts; empty: not known.
        leader_epoch: Of the record before ``next_offset``; -1: not known.
    """

    shard: int
    seq: int
    next_offset: int
    watermark_ns: int
    entry_id: int
    delta: bytes
    base: tuple[int, int, int] | None = None
    snapshot: bytes | None = None
    rounds: Sequence[AlertRound] = ()
    seen: Sequence[ResourceActivity] = ()
    processes: Sequence[SeenProcess] = ()
    rollups: Sequence[Rollup] = ()
    quarantined: Sequence[QuarantinedRecord] = ()
    losses: Mapping[str, int] = field(default_factory=dict[str, int])
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    topic_id: str = ""
    leader_epoch: int = -1
