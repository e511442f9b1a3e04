"""Bounds of the collector's structures in an app's process and in the embedded stream, for the generated docs."""

from typing import Final

from backwatch.collector.exposure import cells, columns, observation
from backwatch.collector.payload import budget, inspection, written
from backwatch.collector.pipeline import call_site, encoder, pipeline, worker
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.bounds import Bound
from backwatch.collector.session import tls
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import kafka_batches, kafka_codecs, kafka_records, sqlite

_DEFAULT: Final = CollectorSettings()

BOUNDS: Final = (
    Bound(
        "queue of records, per process (`BACKWATCH_COLLECTOR_QUEUE_RECORDS`)", _DEFAULT.queue_records, "records",
        "the newest record is dropped", "`dropped.*` in the next heartbeat; alert `telemetry-loss`",
    ),
    Bound(
        "queue of records, per process (`BACKWATCH_COLLECTOR_QUEUE_BYTES`)", _DEFAULT.queue_bytes, "bytes",
        "the newest record is dropped", "`dropped.*` in the next heartbeat; alert `telemetry-loss`",
    ),
    Bound("sessions remembered, per process", pipeline.MAX_SESSIONS, "sessions", "the cache is begun anew"),
    Bound("call sites remembered, per process", call_site.MAX_REMEMBERED, "call sites", "the cache is begun anew"),
    Bound(
        "encoded attributes remembered, per process", encoder.MAX_REMEMBERED, "attributes", "the cache is begun anew"
    ),
    Bound(
        "encoded call sites remembered, per process", encoder.MAX_CALL_SITES, "call sites", "the cache is begun anew"
    ),
    Bound("certificates remembered, per process", tls.MAX_REMEMBERED, "certificates", "the cache is begun anew"),
    Bound(
        "statements whose writes are counted, per process", written.MAX_STATEMENTS, "statements",
        "all are counted anew: more writes are inspected",
    ),
    Bound("inspected bytes of a text or of a container", budget.WINDOW_BYTES, "bytes", "the rest is not"),
    Bound("opcodes of a pickle that are followed", budget.MAX_OPCODES, "opcodes", "the rest is searched"),
    Bound("containers inside each other that are opened", inspection.MAX_DEPTH, "containers", "the rest is not"),
    Bound("parts of one value that are inspected", inspection.MAX_PARTS, "parts", "further ones are not"),
    Bound(
        "statements whose kinds of data are remembered, per process and direction", observation.MAX_STATEMENTS,
        "statements", "all are read anew",
    ),
    Bound("names of columns whose kinds are remembered, per process", columns.MAX_REMEMBERED, "names", "begun anew"),
    Bound("values of one call that are read for kinds of data", cells.MAX_CELLS, "values", "further ones are not"),
    Bound("kinds of internal faults kept, per process", guard.MAX_SWALLOWED, "kinds", "counted, not kept"),
    Bound("one message to the stream", worker.MAX_VALUE_BYTES, "bytes", "calls go into several messages"),
    Bound("one record read from Kafka", kafka_records.MAX_RECORD_BYTES, "bytes", "it is refused by the client"),
    Bound(
        "one batch read from Kafka, unpacked", kafka_codecs.MAX_BATCH_BYTES, "bytes",
        "it is passed over, and its first bytes are kept", "loss `quarantine`; alert `telemetry-loss`",
    ),
    Bound(
        "values of one poll of Kafka, unpacked", kafka_batches.MAX_POLL_BYTES, "bytes",
        "the rest is read by the next poll; one batch more may be in memory",
    ),
    Bound(
        "bytes kept of a batch that is passed over", kafka_batches.MAX_KEPT_BYTES, "bytes", "the rest is cut",
        "loss `quarantine`; alert `telemetry-loss`",
    ),
    Bound("headers of a record", kafka_batches.MAX_HEADERS, "headers", "further ones are not read"),
    Bound(
        "embedded stream (`sqlite:///`)", sqlite.RETENTION_BYTES, "bytes", "the oldest records go",
        "loss `gap`; alert `telemetry-loss`",
    ),
)  # fmt: skip
