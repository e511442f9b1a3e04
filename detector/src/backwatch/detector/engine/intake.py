"""Decode records into columns before the shard is touched. A record that raises is set aside.

Decoding and columns are pure, so a batch that raises is halved until the record is found, and nothing has to be undone.
What raises later, when the shard has begun to change, is the owner's business (``isolation.py``).
"""

from collections.abc import Iterator
from dataclasses import replace

from backwatch.detector.columns.prepared import Columns, Prepared
from backwatch.detector.decoding.decoder import DecodedCalls, decode
from backwatch.detector.decoding.fault_description import describe
from backwatch.detector.engine.log_entries import StreamRecords

Intake = tuple[StreamRecords, DecodedCalls, Prepared | None]
"""Records, their calls, and the columns of these; ``None``: there is no call."""


def read_records(entry: StreamRecords, columns: Columns) -> Iterator[Intake]:
    """Yield the records with their columns, in order: all at once where none raises."""
    try:
        decoded = decode(entry.values, entry.appended_ns)
        prepared = columns.prepare(decoded) if decoded.count else None
    except Exception as error:  # noqa: BLE001  one record's fault must not silence the others
        reason = describe(error)
    else:
        yield entry, decoded, prepared
        return
    count = len(entry.values)
    if count == 1:
        yield entry, replace(decode([b""]), malformed=[(0, reason)]), None
        return
    for start, end in ((0, count // 2), (count // 2, count)):
        yield from read_records(_part(entry, start, end), columns)


def _part(entry: StreamRecords, start: int, end: int) -> StreamRecords:
    return StreamRecords(
        values=entry.values[start:end], appended_ns=entry.appended_ns[start:end], backfill=entry.backfill[start:end],
        offsets=entry.offsets[start:end],
    )  # fmt: skip
