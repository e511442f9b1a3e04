"""Bounds of what the store keeps, by number and by time. Read by documents alone."""

from typing import Final

from backwatch.collector.runtime.bounds import Bound
from backwatch.store import decisions, entries, events, processes, prune, quarantine, queries, ring, text

_PRUNED: Final = "`backwatch db prune`, and hourly by the detector"

BOUNDS: Final = (
    Bound("occurrences of an alert", ring.RING, "occurrences", "the oldest goes", "`count` of the alert"),
    Bound(
        "first occurrences of different identities in an episode", ring.SHOWN, "occurrences",
        "further ones are among the newest only", "`count` of the alert",
    ),
    Bound("evidence of an occurrence", text.EVIDENCE_LIMIT, "characters", "values are cut"),
    Bound("a text in a row", text.KEY_LIMIT, "characters", "it is cut"),
    Bound("body of an event", events.BODY_LIMIT, "bytes", "evidence is left out, then other fields", "`left_out`"),
    Bound("body of an entry", entries.BODY_LIMIT, "bytes", "it is refused with an error"),
    Bound("reason of a decision", decisions.WHY_LIMIT, "characters", "it is refused with an error"),
    Bound("rows of one page of alerts", queries.PAGE_LIMIT, "alerts", "the rest is on the next page"),
    Bound("rollups kept", prune.ROLLUPS_NS // prune.DAY_NS, "days", "older ones go", _PRUNED),
    Bound("events and deliveries kept", prune.EVENTS_NS // prune.DAY_NS, "days", "older ones go once done", _PRUNED),
    Bound("days of quarantined records", prune.QUARANTINE_NS // prune.DAY_NS, "days", "older ones go", _PRUNED),
    Bound(
        "quarantined records kept", quarantine.MAX_RECORDS, "records",
        f"further ones are counted and not kept; pruning removes the oldest of more than a day beyond"
        f" {quarantine.MAX_SETTLED_RECORDS:,}", "loss `quarantine`; alert `telemetry-loss`",
    ),
    Bound(
        "bytes kept of a quarantined record", quarantine.MAX_VALUE_BYTES, "bytes",
        "the rest is cut, and the reason gives the length",
    ),
    Bound("days of processes", prune.PROCESSES_NS // prune.DAY_NS, "days", "those heard last before go", _PRUNED),
    Bound(
        "processes kept", processes.MAX_KEPT, "processes",
        f"those stay that are missed, then those that run, then those heard last; {processes.MAX_EXCESS:,} more until"
        " the next pruning", _PRUNED,
    ),
    Bound("processes listed at once", processes.MAX_LISTED, "processes", "those that are missed come first"),
    Bound("days of a partition's progress", prune.PROGRESS_NS // prune.DAY_NS, "days", "older ones go", _PRUNED),
    Bound(
        "resources in the inventory, after pruning", prune.MAX_RESOURCES, "resources",
        "those that lasted for less than a day go first, then the oldest", _PRUNED,
    ),
    Bound("cleared alerts kept", prune.ALERTS_NS // prune.DAY_NS, "days", "older ones go", _PRUNED),
)  # fmt: skip
