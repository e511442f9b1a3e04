"""What the store answers to dashboard and command line. Text in it may be an attacker's: show it, never render it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backwatch.store.progress import PartitionProgress
from backwatch.store.rules_meta import RuleMeta

STATES: Final = ("open", "acknowledged", "closed", "muted")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts are asked for; an empty field asks for all.

    Attributes:
        states: Words of ``STATES``.
        levels, rules, apps: Exact words.
        text: Found, in any case, in rule, app, resource or key.
    """

    states: Sequence[str] = ()
    levels: Sequence[str] = ()
    rules: Sequence[str] = ()
    apps: Sequence[str] = ()
    resource_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert as it stands.

    Attributes:
        state: open, acknowledged, closed or muted: derived from what the engine and what people wrote.
        title: The rule's; its name where the rule is no longer known.
        count, first_ns, last_ns: Of all episodes. ``opened_ns`` and ``cleared_ns`` are of the last one.
        muted_until_ns: 0: not muted.
        evidence: Of the newest occurrence.
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
        cursor: Where the next page begins; ``None``: there is none.
    """

    rows: Sequence[AlertRow]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceRow:
    """One of the newest times that the rule fired."""

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
    """An alert and all that is known around it; occurrences, episodes, decisions, deliveries newest first.

    Attributes:
        accepted: Whether an acceptance holds for what the alert shows now.
        escalated_by: The rule that raised the alert to its level, where its own rule's is lower.
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
    """A resource, with what is open about it.

    Attributes:
        alerts: Alerts that are open or acknowledged.
        worst: The highest level among them; ``""`` where there are none.
        facts: The newest session's, by contract name.
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
        since_ns: When it came into that state.
        heard_ns: Its last heartbeat, to the minute; 0: none came, related processes reported it.
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
    """How far a shard is. ``updated_ns`` is the wall time of its last commit."""

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
    """Where notify delivers to, and how that goes.

    Attributes:
        failing: Pending deliveries whose last attempt failed.
        held: Events beyond the budget, for the next digest.
        disabled_ns: When the receiver replied that it is gone for good; ``None``: it is in use.
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
    """Whether Backwatch itself does its work.

    Attributes:
        losses, counters: By name, over all shards.
        quarantined: Records kept because they could not be read.
        last_entry: Number of the newest entry.
        processes: Watched processes by state.
        progress: How far each consumer group has read each partition.
    """

    shards: Sequence[ShardRow] = ()
    losses: Mapping[str, int] = field(default_factory=dict[str, int])
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    quarantined: int = 0
    last_entry: int = 0
    endpoints: Sequence[EndpointRow] = ()
    processes: Mapping[str, int] = field(default_factory=dict[str, int])
    progress: Sequence[PartitionProgress] = ()
