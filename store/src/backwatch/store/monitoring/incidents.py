"""Incidents in the chain from the stream to the receivers, worst first: one verdict for every display.

The dashboard's banner, ``backwatch db status --check``, the health checks, ``/readyz``, ``/metrics`` and notify's own
events use it. A chain is as good as its worst partition: an unread one hides attacks, however well others work.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.store import tables
from backwatch.store.progress import PartitionProgress
from backwatch.store.text import LEVELS
from backwatch.store.views import EndpointRow, ShardRow

SILENT_AFTER_S: Final = 60.0
"""A member that has written no progress for so long does not run: it writes every few seconds."""
ENDED_TOGETHER_S: Final = 15.0
"""Maximum difference between the last reports of members that ended together."""
STALLED_AFTER_S: Final = 60.0
"""Maximum time for which a partition with lag may not advance."""
UNROUTED_AFTER_S: Final = 120.0
"""Maximum time until notify routes an event, and until a delivery worker serves an endpoint again."""
FAILING_AFTER_S: Final = 600.0
"""Maximum time for which all deliveries to an endpoint may fail."""
CRITICAL_WAITS_S: Final = 60.0
"""Maximum time for which a critical delivery may be due while its endpoint makes no attempt at any delivery."""
FAILED_ATTEMPTS: Final = 3
MAX_LISTED: Final = 10
"""Maximum partition numbers in one message."""
ROUTER_FORGOTTEN_AFTER_S: Final = 7 * 86_400.0
"""A router that has not reported for so long counts as removed on purpose."""

DETECTOR_SILENT: Final = "detector-silent"
PARTITION_UNREAD: Final = "partition-unread"
PARTITION_STALLED: Final = "partition-stalled"
ROUTER_SILENT: Final = "router-silent"
NOTIFY_SILENT: Final = "notify-silent"
CRITICAL_UNSENT: Final = "critical-unsent"
ENDPOINT_DISABLED: Final = "endpoint-disabled"
ENDPOINT_FAILING: Final = "endpoint-failing"
KINDS: Final = (
    DETECTOR_SILENT, PARTITION_UNREAD, PARTITION_STALLED, ROUTER_SILENT, NOTIFY_SILENT, CRITICAL_UNSENT,
    ENDPOINT_DISABLED, ENDPOINT_FAILING,
)  # fmt: skip
"""Every kind of incident, worst first."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A fault of Backwatch itself, in words for an operator.

    Attributes:
        kind: One of ``KINDS``.
        since_ns: Wall time of the last sign that it worked; 0: it never has.
        message: Plain words that hold no text of an app or an attacker.
        reason: The member's own report why, or empty; show it as text.
        member: Host and process of the member, or empty.
    """

    kind: str
    since_ns: int
    message: str
    reason: str = ""
    member: str = ""


def find_incidents(progress: Sequence[PartitionProgress], shards: Sequence[ShardRow], now_ns: int) -> list[Incident]:
    """Return what is wrong with detector and router, worst first; empty: every partition is read and advances.

    Args:
        progress: All rows; of a group that was renamed, the old ones do not count while another group reads the topic.
        shards: All rows; they count for partitions without progress, which a detector of an older version leaves.
        now_ns: Wall time.
    """
    if not has_reported(progress, shards):
        message = "No detector has reported to this store yet. New alerts cannot appear."
        return [Incident(kind=DETECTOR_SILENT, since_ns=0, message=message)]
    reported = {row.partition_id for row in progress if row.topic == names.TOPIC_CALLS}
    calls = [*(row for row in progress if row.topic == names.TOPIC_CALLS), *_derive_progress(shards, reported)]
    spans = [row for row in progress if row.topic == names.TOPIC_SPANS]
    found = [
        *_find_topic_incidents(names.TOPIC_CALLS, calls, now_ns),
        *(
            incident
            for incident in _find_topic_incidents(names.TOPIC_SPANS, spans, now_ns)
            if incident.kind != ROUTER_SILENT or now_ns - incident.since_ns < ROUTER_FORGOTTEN_AFTER_S * _NS
        ),
    ]
    return sorted(found, key=lambda incident: (KINDS.index(incident.kind), incident.since_ns))


def has_reported(progress: Sequence[PartitionProgress], shards: Sequence[ShardRow]) -> bool:
    """Return whether a detector has ever worked on this store."""
    return bool(shards) or any(row.topic == names.TOPIC_CALLS for row in progress)


def _derive_progress(shards: Sequence[ShardRow], reported: Collection[int]) -> list[PartitionProgress]:
    """Derive progress from shards whose detector reports none: it commits a tick every ten seconds."""
    return [
        PartitionProgress(
            consumer_group="", topic=names.TOPIC_CALLS, partition_id=shard.id, next_offset=shard.next_offset,
            end_offset=shard.next_offset, advanced_ns=shard.updated_ns, updated_ns=shard.updated_ns, member="",
        )
        for shard in shards
        if shard.id not in reported and shard.watermark_ns and shard.updated_ns
    ]  # fmt: skip


def _find_topic_incidents(topic: str, rows: Sequence[PartitionProgress], now_ns: int) -> list[Incident]:
    if not rows:
        return []
    silent_ns, stalled_ns = int(SILENT_AFTER_S * _NS), int(STALLED_AFTER_S * _NS)
    newest_ns = max(row.updated_ns for row in rows)
    if now_ns - newest_ns > silent_ns:
        return [_build_silent_incident(topic, newest_ns, now_ns)]
    live = {row.consumer_group for row in rows if now_ns - row.updated_ns <= silent_ns} - {""}
    groups: dict[tuple[str, str], list[PartitionProgress]] = {}
    for row in rows:
        if live and row.consumer_group and row.consumer_group not in live:
            continue
        if now_ns - row.updated_ns > silent_ns:
            if newest_ns - row.updated_ns <= ENDED_TOGETHER_S * _NS:
                continue  # silent as long as the newest: the whole topic falls silent within seconds, or is read again
            groups.setdefault((PARTITION_UNREAD, ""), []).append(row)
        elif (row.lag or row.reason) and now_ns - row.advanced_ns > stalled_ns:
            groups.setdefault((PARTITION_STALLED, row.reason), []).append(row)
    return [_build_partition_incident(kind, reason, topic, found, now_ns) for (kind, reason), found in groups.items()]


def _build_partition_incident(
    kind: str, reason: str, topic: str, rows: Sequence[PartitionProgress], now_ns: int
) -> Incident:
    """Build one incident for all partitions that have the same fault."""
    unread, members = kind == PARTITION_UNREAD, {row.member for row in rows}
    since_ns = min(row.updated_ns if unread else row.advanced_ns for row in rows)
    numbers = sorted({row.partition_id for row in rows})
    listed = ", ".join(map(str, numbers[:MAX_LISTED])) + (" and others" if len(numbers) > MAX_LISTED else "")
    what, when = f"{listed} of {topic}", format_since(since_ns, now_ns)
    lag = sum(row.lag for row in rows)
    waiting = f", with {lag:,} records to read" if lag else ""
    if unread:
        message = f"No process has read partition{'s' * (len(numbers) > 1)} {what} since {when}."
    elif len(numbers) == 1:
        message = f"Partition {what} has not advanced since {when}{waiting}."
    else:
        message = f"Partitions {what} have not advanced since {when}{waiting}."
    member = members.pop() if len(members) == 1 else ""
    return Incident(kind=kind, since_ns=since_ns, message=message, reason=reason, member=member)


def _build_silent_incident(topic: str, newest_ns: int, now_ns: int) -> Incident:
    when = format_since(newest_ns, now_ns)
    if topic == names.TOPIC_CALLS:
        message = f"The detector has not reported since {when}. New alerts cannot appear."
        return Incident(kind=DETECTOR_SILENT, since_ns=newest_ns, message=message)
    message = f"The router has not reported since {when}. Spans in {topic} are not judged."
    return Incident(kind=ROUTER_SILENT, since_ns=newest_ns, message=message)


def find_delivery_incidents(connection: sa.Connection, endpoints: Mapping[str, float], now_ns: int) -> list[Incident]:
    """Return what is wrong with the delivery of alerts, worst first.

    Args:
        connection: A reading one.
        endpoints: Endpoints that notify serves, each with the seconds that one attempt may take.
        now_ns: Wall time.
    """
    if not endpoints:
        return []
    found: list[Incident] = []
    event, endpoint = tables.event, tables.endpoint
    oldest_ns = connection.scalar(sa.select(sa.func.min(event.c.created_ns)).where(event.c.routed_ns.is_(None)))
    if oldest_ns is not None and now_ns - oldest_ns > UNROUTED_AFTER_S * _NS:
        message = f"No process has taken up new events since {format_since(oldest_ns, now_ns)}."
        found.append(Incident(kind=NOTIFY_SILENT, since_ns=oldest_ns, message=message))
    known = {row.name: row for row in connection.execute(sa.select(endpoint))}
    for name, timeout_s in endpoints.items():
        row, put_off = known.get(name), list[Incident]()
        served_ns = row.served_ns if row is not None else 0
        if row is not None and row.disabled_ns is not None:
            found.append(_build_disabled_incident(row.name, row.disabled_ns, row.reason, now_ns))
        elif now_ns - served_ns > (UNROUTED_AFTER_S + timeout_s) * _NS:
            when = f"since {format_since(served_ns, now_ns)}" if served_ns else "yet"
            message = f"No delivery worker has served the endpoint {name} {when}."
            found.append(Incident(kind=NOTIFY_SILENT, since_ns=served_ns, message=message))
        elif row is not None:
            found += _find_critical_unsent(connection, name, row.critical_paused_until_ns, now_ns)
            put_off = _find_postponed(connection, name, row.critical_paused_until_ns, now_ns, critical=True)
            put_off += _find_postponed(connection, name, row.paused_until_ns, now_ns, critical=False)
        found += put_off
        if all(incident.kind != ENDPOINT_FAILING for incident in put_off):
            found += _find_failing(connection, name, now_ns)
    return sorted(found, key=lambda incident: KINDS.index(incident.kind))


def _find_critical_unsent(connection: sa.Connection, name: str, paused_until_ns: int, now_ns: int) -> list[Incident]:
    """Find critical deliveries that no worker makes: its thread hangs while the other keeps the endpoint served."""
    table, long_ago_ns = tables.delivery, now_ns - int(CRITICAL_WAITS_S * _NS)
    if paused_until_ns > long_ago_ns:
        return []
    of_endpoint = (table.c.endpoint == name) & (table.c.level_rank == LEVELS.index("critical"))
    pending = of_endpoint & (table.c.state == "pending")
    free_ns = sa.case((table.c.locked_until_ns > table.c.next_ns, table.c.locked_until_ns), else_=table.c.next_ns)
    since_ns = connection.scalar(sa.select(sa.func.min(free_ns)).where(pending, free_ns <= long_ago_ns))
    if since_ns is None:
        return []
    # A long queue of a slow receiver moves: one of its deliveries is leased, or has just been made.
    done = (
        of_endpoint & table.c.state.in_(("delivered", "rejected", "expired", "muted")) & (table.c.done_ns > long_ago_ns)
    )
    moves = (pending & (table.c.locked_until_ns > now_ns)) | done
    if connection.scalar(sa.select(sa.literal(1)).where(sa.exists().where(moves))):
        return []
    since_ns = max(since_ns, paused_until_ns)
    message = (
        f"No delivery worker sends the critical alerts for the endpoint {name} since {format_since(since_ns, now_ns)}."
    )
    return [Incident(kind=CRITICAL_UNSENT, since_ns=since_ns, message=message)]


def _find_postponed(
    connection: sa.Connection, name: str, paused_until_ns: int, now_ns: int, *, critical: bool
) -> list[Incident]:
    """Find a lane that its receiver has postponed: one reply may postpone it by a day, without a second attempt."""
    if paused_until_ns <= now_ns:
        return []
    table, rank = tables.delivery, LEVELS.index("critical")
    lane = (table.c.endpoint == name) & (table.c.level_rank == rank if critical else table.c.level_rank != rank)
    first = sa.select(sa.func.min(table.c.first_try_ns)).where(lane, table.c.state == "pending", table.c.attempts > 0)
    first_ns = connection.scalar(first)
    if first_ns is None:
        return []
    taken = sa.select(sa.func.max(table.c.done_ns)).where(
        lane, table.c.state == "delivered", table.c.done_ns > first_ns
    )
    since_ns = max(first_ns, connection.scalar(taken) or 0)
    if now_ns - since_ns <= FAILING_AFTER_S * _NS:
        return []
    until = datetime.fromtimestamp(paused_until_ns / _NS, UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = "critical alerts" if critical else "alerts below critical"
    message = (
        f"The endpoint {name} has taken no {what} since {format_since(since_ns, now_ns)}: no attempt before {until}."
    )
    return [Incident(kind=CRITICAL_UNSENT if critical else ENDPOINT_FAILING, since_ns=since_ns, message=message)]


def _find_failing(connection: sa.Connection, name: str, now_ns: int) -> list[Incident]:
    """Find an endpoint that accepts nothing over several attempts. A single rejected delivery does not count."""
    table = tables.delivery
    of_endpoint = table.c.endpoint == name
    again = of_endpoint & (table.c.state == "pending") & (table.c.attempts >= FAILED_ATTEMPTS)
    first_ns = connection.scalar(sa.select(sa.func.min(table.c.first_try_ns)).where(again))
    if first_ns is None:
        return []
    taken = sa.select(table.c.done_ns).where(of_endpoint, table.c.state == "delivered")  # ordered by the index
    since_ns = max(first_ns, connection.scalar(taken.order_by(table.c.next_ns.desc()).limit(1)) or 0)
    if now_ns - since_ns <= FAILING_AFTER_S * _NS:
        return []
    message = f"The endpoint {name} has taken nothing since {format_since(since_ns, now_ns)}."
    return [Incident(kind=ENDPOINT_FAILING, since_ns=since_ns, message=message)]


def find_disabled(endpoints: Sequence[EndpointRow], now_ns: int) -> list[Incident]:
    """Return the endpoints that refuse all deliveries for good."""
    return [
        _build_disabled_incident(endpoint.name, endpoint.disabled_ns, endpoint.reason, now_ns)
        for endpoint in endpoints
        if endpoint.disabled_ns is not None
    ]


def _build_disabled_incident(name: str, disabled_ns: int, reason: str, now_ns: int) -> Incident:
    message = f"The endpoint {name} is disabled since {format_since(disabled_ns, now_ns)}: it gets no alerts."
    return Incident(kind=ENDPOINT_DISABLED, since_ns=disabled_ns, message=message, reason=reason)


def format_since(time_ns: int, now_ns: int) -> str:
    """Return a time of day, UTC, with how long ago that is; with the date where that is a day or longer.

    >>> format_since(1_700_000_000 * 10**9, 1_700_000_250 * 10**9)
    '22:13 UTC (4 min)'
    >>> format_since(1_700_000_000 * 10**9, 1_700_200_000 * 10**9)
    '2023-11-14 22:13 UTC (2 d)'
    """
    age_s = max(0, now_ns - time_ns) // _NS
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    unit, size = next((pair for pair in units if age_s >= pair[1]), units[-1])
    form = "%Y-%m-%d %H:%M" if age_s >= 86_400 else "%H:%M"
    moment = datetime.fromtimestamp(max(0, min(time_ns, 253_402_300_799 * _NS)) // _NS, UTC)
    return f"{moment.strftime(form)} UTC ({age_s // size} {unit})"
