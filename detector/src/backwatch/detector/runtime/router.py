"""The router: reads ``otlp_spans``, and writes what it holds to ``backwatch_calls`` in the contract's form."""

import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import Final

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, MessageRefused, Record, Relay, StreamUnavailable
from backwatch.collector.stream.factory import ensure_topics, open_relay
from backwatch.detector.ingest.routing import KEPT_BYTES, UNREADABLE, outputs
from backwatch.detector.runtime.progress import STALLED_S, GroupProgress
from backwatch.detector.runtime.repeated_errors import RepeatedErrors, StalledConsumer, describe_unforeseen

logger = logging.getLogger("backwatch")

RETRY_S: Final = 1.0
OBSERVE_EVERY_S: Final = 4.0
GROUP: Final = "backwatch-router"


def messages_of(record: Record) -> list[Message]:
    """Return the messages of a record. Undecodable records, and those that fail, are forwarded as unreadable."""
    if not record.skipped:
        try:
            return outputs(record)
        except Exception as error:  # noqa: BLE001  one record must not stop its partition
            reason, what = describe_unforeseen(error), record.value
    else:
        reason, what = record.reason, record.value
    count = max(1, record.skipped)
    logger.error(
        "backwatch: router: partition %d, %d record(s) from offset %d: %s; handed on as unreadable",
        record.partition, count, record.offset, reason,
    )  # fmt: skip
    head = f"{count} record(s) of {names.TOPIC_SPANS}, partition {record.partition} offset {record.offset}: {reason}\n"
    return [Message(UNREADABLE + head.encode() + what[:KEPT_BYTES], appended_ns=record.appended_ns)]


class Router:
    """Forwards ``otlp_spans`` to ``backwatch_calls`` until it is stopped. Owned by one thread.

    Nothing but ``stop`` ends it: after any error the relay is opened anew, at the group's progress.
    """

    def __init__(self, stream: StreamSettings, group: str = GROUP, instance: str = "") -> None:
        self._stream = stream
        self._group = group
        self._instance = instance
        self._errors = RepeatedErrors("router")
        self._observed_s = -math.inf
        self.progress = GroupProgress(group, names.TOPIC_SPANS)
        """What this member has read; a :class:`~backwatch.detector.runtime.progress.ProgressBoard` writes it."""

    def run(self, stop: threading.Event) -> None:
        """Forward until ``stop`` is set; wait for a stream that does not answer."""
        relay: Relay | None = None
        while not stop.is_set():
            try:
                relay = relay or self._open()
                self.turn(relay)
                self._errors.over()
            except Exception as error:  # noqa: BLE001  an error of the client must not end the thread
                foreseen = isinstance(error, StreamUnavailable)
                text = (
                    str(error.strerror or error) if isinstance(error, StreamUnavailable) else describe_unforeseen(error)
                )
                self._errors.note(text, None if foreseen else error)
                self.progress.fail(text)
                self.progress.turn("waiting after an error")
                relay = self._close(relay)
                stop.wait(RETRY_S if foreseen else self._errors.pause_s)
        self.progress.release()
        self._close(relay)

    def _open(self) -> Relay:
        self.progress.turn("connecting to the stream")
        ensure_topics(self._stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
        relay = open_relay(self._stream, names.TOPIC_SPANS, names.TOPIC_CALLS, self._group, self._instance)
        self.progress.restart_clocks()
        return relay

    def _close(self, relay: Relay | None) -> None:
        if relay is not None:
            try:
                relay.close()
            except Exception as error:  # noqa: BLE001  it is replaced in any case
                logger.debug("backwatch: a relay did not close (%s)", type(error).__name__)

    def turn(self, relay: Relay) -> int:
        """Forward the records that are there; return their number."""
        self._observe(relay)
        self.progress.turn("polling")
        self.progress.note_poll()
        records = relay.poll(0.2)
        if records:
            self.progress.turn(f"carrying over partition {records[0].partition} from offset {records[0].offset}")
            try:
                relay.forward(records, [message for record in records for message in messages_of(record)])
            except MessageRefused as error:
                self._one_by_one(relay, records)
                # The reader has gone back to where the group was; a new one begins where it is now.
                raise StreamUnavailable(f"{error}; continuing behind it") from None
        return len(records)

    def _observe(self, relay: Relay) -> None:
        """Every few seconds, report progress and check for partitions that do not advance."""
        now_s = time.monotonic()
        if now_s - self._observed_s < OBSERVE_EVERY_S:
            return
        self._observed_s = now_s
        positions, ends = relay.positions(), relay.ends()
        self.progress.observe(positions, relay.held_back(), ends)
        stalled = self.progress.find_stalled()
        if stalled:
            raise StalledConsumer(
                f"partition(s) {', '.join(map(str, stalled))} of {names.TOPIC_SPANS} are assigned and have records, but"
                f" none was delivered for {STALLED_S:.0f} s"
            )

    def _one_by_one(self, relay: Relay, records: Sequence[Record]) -> None:
        """Forward each record by itself.

        One that the log refuses for good is replaced by its first bytes, and is a loss.
        """
        for record in records:
            try:
                relay.forward([record], messages_of(record))
            except MessageRefused as error:
                logger.error("backwatch: router: %s; its first bytes go on in its place", error)  # noqa: TRY400
                cut = Message(
                    UNREADABLE + record.value[:KEPT_BYTES], appended_ns=record.appended_ns, backfill=record.backfill
                )
                relay.forward([record], [cut])
