"""Bounds of what the detector and the router keep, in memory and in a shard. Read by documents alone.

Where a structure is of a module that folding and pacing own, its bound stands beside it.
"""

from typing import Final

from backwatch.collector.destinations import host
from backwatch.collector.runtime.bounds import Bound
from backwatch.detector.baselines import releases
from backwatch.detector.columns import prepared
from backwatch.detector.decoding import heartbeats, rows, schema
from backwatch.detector.derived import cached_number, numbers, numeric_address, text_columns
from backwatch.detector.detectors import unusual_payload
from backwatch.detector.engine import findings, open_findings, rule_table, verdicts, windows
from backwatch.detector.identity import approved
from backwatch.detector.ingest import otlp_writer, routing
from backwatch.detector.models import fitting
from backwatch.detector.presence import processes
from backwatch.detector.profile import document, learning
from backwatch.detector.rules import compiled_rules, correlation_state, rule_index, rulebook
from backwatch.detector.runtime import shard_worker
from backwatch.detector.state import key_space, keys, snapshot

_EVICTED: Final = "what is known for the shortest time makes room"

BOUNDS: Final = (
    *(
        Bound(
            f"key space `{space.name}`, per shard", space.capacity - 1, "keys", _EVICTED,
            f"losses `overflow.{space.name}`, `evicted.{space.name}`; alert `telemetry-loss`",
        )
        for space in keys.SPACES
    ),
    *(
        Bound(
            f"keys of `{space.name}` per {space.parent.name}", space.per_parent, "keys", _EVICTED,
            f"losses `overflow.{space.name}`, `evicted.{space.name}`; alert `telemetry-loss`",
        )
        for space in keys.SPACES
        if space.parent is not None
    ),
    Bound(
        "first sightings that wait, per sketched key space", key_space.SKETCH_CELLS, "sightings",
        "a newer one takes an older one's place: that key gets its slot a sighting later",
    ),
    Bound(
        "open findings, per shard", open_findings.MAX_OPEN_FINDINGS, "findings",
        f"beyond {open_findings.CROWDED_SHARE:.0%} every new key folds into one alert of its rule; at the bound the"
        " oldest is given up", "loss `uncleared`; alert `telemetry-loss`",
    ),
    Bound(
        "alerts about losses within the time after which one clears, per shard", verdicts.MAX_LOSS_ALERTS, "alerts",
        "further apps and kinds share one alert", "alert `telemetry-loss` of `many losses`; the counters stay exact",
    ),
    Bound(
        "processes that heartbeats report, per shard", processes.MAX_PROCESSES, "processes",
        "one that ended makes room, then a newcomer, then a missed one, whose alert stays; else the new one finds none",
        "loss `evicted.process`; alert `telemetry-loss`",
    ),
    Bound(
        "processes of an app on one host", processes.MAX_ON_HOST, "processes",
        "the same make room", "loss `evicted.process`; alert `telemetry-loss`",
    ),
    Bound(
        "alerts about missed processes that made room, per shard", processes.MAX_DISPLACED, "alerts",
        "the earliest clear",
    ),
    Bound(
        "apps whose usual hours are known, per shard", processes.MAX_APPS, "apps",
        "one never heard throughout an hour makes room, or one not heard for a month; else the new one is not learnt",
        "loss `evicted.app`; alert `telemetry-loss`",
    ),
    Bound(
        "alerts of a rule about processes within the time after which one clears, per shard",
        verdicts.MAX_PROCESS_ALERTS, "alerts", "further apps, hosts and states share one alert",
        "the rule's alert of `many processes`",
    ),
    Bound(
        "groups of a correlation, per shard", f"{correlation_state.MIN_GROUPS:,} to {correlation_state.MAX_GROUPS:,},"
        f" within {correlation_state.BYTES >> 20} MiB", "groups", "the one seen least recently makes room",
        f"loss `{correlation_state.LOST}`; alert `telemetry-loss`",
    ),
    Bound(
        "keys of enforced profiles, per shard", approved.MAX_APPROVED_KEYS, "keys", "a further profile is not enforced",
        "loss `profile`; alert `telemetry-loss`",
    ),
    Bound("bytes of a profile", document.LARGEST, "bytes", "it is refused with an error"),
    Bound("statements of a profile", document.MAX_STATEMENTS, "statements", "it is refused; learning counts the rest"),
    Bound(
        "destinations of a profile", document.MAX_DESTINATIONS, "destinations",
        "it is refused; learning counts the rest",
    ),
    Bound("hashes of calls that a profile was learnt from", learning.MAX_SEEN, "hashes", "the set is begun anew"),
    Bound("correlations", rulebook.MAX_CORRELATIONS, "rules", "a further one is refused with an error"),
    Bound(
        "open windows of a resource", windows.RING_WINDOWS, "minutes", "later calls are late",
        "loss `late`; counter `late`",
    ),
    Bound("releases of an app that are distinguished", releases.MAX_RELEASES, "releases", "the oldest is forgotten"),
    Bound(
        "keys and topics of a resource whose formats are known", unusual_payload.MAX_PLACES, "keys",
        "one unused for a week, or not known yet, makes room; else the new one is not judged",
    ),
    Bound("firings shown besides the newest", findings.MAX_FIRSTS, "firings", "further ones are counted", "`count`"),
    Bound("ids of alerts remembered", rule_table.MAX_CACHED_KEYS, "ids", "the oldest makes room: no result changes"),
    Bound(
        "alerts known to be open, per shard", shard_worker.MAX_KNOWN_ALERTS, "ids",
        "begun anew, which costs an early commit",
    ),
    Bound("entries read at once", shard_worker.ENTRIES_PER_READ, "entries", "the rest is read in the next round"),
    Bound(
        "statements whose fingerprint is remembered", prepared.CACHED_STATEMENTS, "statements",
        "a newer one takes the place",
    ),
    Bound("hosts whose address or class is remembered", host.MAX_REMEMBERED, "texts", "the oldest makes room"),
    Bound("numeric addresses remembered", numeric_address.MAX_REMEMBERED, "texts", "the oldest makes room"),
    Bound("lists of mail domains remembered", text_columns.MAX_CACHED_LISTS, "texts", "the oldest makes room"),
    Bound("readings of texts remembered, of each kind", cached_number.CELLS, "texts", "a newer one takes the place"),
    Bound("topologies of clusters remembered", numbers.MAX_TOPOLOGIES, "texts", "the oldest makes room"),
    Bound("distinct entries of a rules' domain", rule_index.MAX_ENTRIES, "entries", "the cache is begun anew"),
    Bound("rows of bits of entries, remembered", compiled_rules.MAX_REMEMBERED, "rows", "the cache is begun anew"),
    Bound("a shard's state, unpacked", snapshot.LIMIT, "bytes", "it is refused as damaged", "the detector's log"),
    Bound("spans of one record", schema.MAX_SPANS, "spans", "the record is quarantined", "loss `quarantine`"),
    Bound("attributes of a span, scope or resource", schema.MAX_ATTRIBUTES, "attributes", "further ones are not read"),
    Bound("heartbeats of one record", rows.MAX_BEATS, "heartbeats", "further ones are not read"),
    Bound("relatives that one heartbeat reports", heartbeats.MAX_RELATIVES, "processes", "further ones are not read"),
    Bound("rows that a model is fitted on", fitting.MAX_MINUTES, "rows", "a sample is taken"),
    Bound(
        "encoded attributes remembered by the router", otlp_writer.MAX_REMEMBERED, "attributes", "the oldest makes room"
    ),
    Bound("one message that the router writes", routing.MAX_MESSAGE_BYTES, "bytes", "spans go into several messages"),
    Bound(
        "bytes kept of a record that cannot be routed", routing.KEPT_BYTES, "bytes", "the rest is cut",
        "loss `quarantine`; alert `telemetry-loss`",
    ),
)  # fmt: skip
