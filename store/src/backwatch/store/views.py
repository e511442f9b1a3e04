"""Rows that the store returns to dashboard and commands. Their text may be an attacker's: never render it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backwatch.store.progress import PartitionProgress
from backwatch.store.rules_meta import RuleMeta

STATES: Final = ("open", "acknowledged", "closed", "muted")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Criteria of a query for alerts; an empty field matches all.

    Attributes:
        states: Words of ``STATES``.
        levels, rules, apps: Exact words.
        text: Substring of rule, app, resource or key, in any case.
    """

    states: Sequence[str] = ()
    levels: Sequence[str] = ()
    rules: Sequence[str] = ()
    apps: Sequence[str] = ()
    resource_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """The current state of an alert.

    Attributes:
        state: open, acknowledged, closed or muted: derived from the engine's events and the operators' decisions.
        title: Title of the rule, or its name if the rule is no longer known.
        count, first_ns, last_ns: Over all episodes; ``opened_ns`` and ``cleared_ns`` belong to the last one.
        muted_until_ns: 0: not muted.
        evidence: Facts of the newest occurrence.
    """

    id: str
    rule: str
    title: str
    level: str
    state: str
    resource_id: str
    app: str
    resource: str
    key: str
    episode: int
    count: int
    first_ns: int
    last_ns: int
    opened_ns: int
    cleared_ns: int | None
    muted_until_ns: int
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """One page of alerts, last seen first.

    Attributes:
        cursor: Start of the next page; ``None`` on the last page.
    """

    rows: Sequence[AlertRow]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceRow:
    """One recent firing of the rule."""

    number: int
    episode: int
    time_ns: int
    trace_id: str
    span_id: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRow:
    """One opening of the alert."""

    number: int
    opened_ns: int
    cleared_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision on the alert."""

    entry_id: int
    alert_id: str
    episode: int
    kind: str
    by: str
    why: str
    until_ns: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One event on its way to one endpoint.

    Attributes:
        state: pending, delivered, rejected, expired, muted, held (for a digest) or digested.
        outcome: Result of the last attempt.
    """

    event_id: str
    kind: str
    episode: int
    endpoint: str
    state: str
    attempts: int
    created_ns: int
    next_ns: int
    done_ns: int | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDetail:
    """An alert with its rule and history; occurrences, episodes, decisions, deliveries newest first.

    Attributes:
        accepted: Whether an acceptance covers the values that the alert shows now.
        escalated_by: Rule that raised the alert to its level, if the level of its own rule is lower.
    """

    alert: AlertRow
    accepted: bool
    rule: RuleMeta | None
    escalated_by: RuleMeta | None
    occurrences: Sequence[OccurrenceRow]
    episodes: Sequence[EpisodeRow]
    decisions: Sequence[DecisionRow]
    deliveries: Sequence[DeliveryRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """A resource with its open alerts.

    Attributes:
        alerts: Alerts that are open or acknowledged.
        worst: Highest level among them; ``""`` if there are none.
        facts: Facts of the newest session, by contract name.
    """

    id: str
    app: str
    system: str
    endpoint: str
    namespace: str
    first_ns: int
    last_ns: int
    calls: int
    errors: int
    facts: Mapping[str, Any]
    alerts: int = 0
    worst: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """A watched process.

    Attributes:
        state: running, ended (with a farewell), gone, replaced, brief, silent, undelivered or unfollowed.
        since_ns: Time at which it entered that state.
        heard_ns: Time of its last heartbeat, to the minute; 0: only related processes reported it.
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
class ShardRow:
    """Progress of a shard. ``updated_ns`` is the wall time of its last commit."""

    id: int
    seq: int
    next_offset: int
    watermark_ns: int
    entry_id: int
    updated_ns: int
    topic_id: str = ""
    leader_epoch: int = -1
    log_seq: int = -1
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """An endpoint of notify, with the state of its deliveries.

    Attributes:
        failing: Pending deliveries whose last attempt failed.
        held: Events beyond the budget, for the next digest.
        disabled_ns: Time at which the receiver replied that it is gone for good; ``None``: it is in use.
    """

    name: str
    pending: int
    failing: int
    delivered: int
    lost: int
    disabled_ns: int | None
    reason: str
    held: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Figures about the work of Backwatch itself.

    Attributes:
        losses, counters: Sums over all shards, by name.
        quarantined: Records kept because they could not be read.
        last_entry: Number of the newest entry.
        processes: Watched processes by state.
        progress: Offset of each consumer group in each partition.
    """

    shards: Sequence[ShardRow] = ()
    losses: Mapping[str, int] = field(default_factory=dict[str, int])
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    quarantined: int = 0
    last_entry: int = 0
    endpoints: Sequence[EndpointRow] = ()
    processes: Mapping[str, int] = field(default_factory=dict[str, int])
    progress: Sequence[PartitionProgress] = ()
