"""The daemon thread that writes to the stream: it drains the queue, encodes, publishes, retries and sends heartbeats.

Nothing here runs on a thread of the app. The thread opens its own publisher, after any fork. With gevent the thread is
a greenlet, which a fork copies: the copy exits at once and leaves queue and client to the parent.
"""

import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App, get_tracer_provider, identify
from backwatch.collector.pipeline.encoder import encode_calls, encode_heartbeat
from backwatch.collector.pipeline.heartbeat import Heartbeat, HeartbeatSchedule
from backwatch.collector.pipeline.queue import FULL_BATCH, BoundedQueue
from backwatch.collector.runtime import gc_passes, guard, internal_threads, shutdown
from backwatch.collector.runtime.forks import wait_for_uwsgi
from backwatch.collector.runtime.record import Call
from backwatch.collector.settings import CollectorSettings, SettingError
from backwatch.collector.stream import Message, MessageRefused, Publisher, StreamUnavailable

MAX_VALUE_BYTES: Final = 900_000
"""Maximum size of one record on the stream: below the megabyte that brokers accept, with room for key and headers."""
PUBLISH_TIMEOUT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 15.0
LAST_TRY_S: Final = 1.0
"""Seconds that an exit waits for a stream that was unavailable at the last try."""
STUCK_S: Final = 30.0
"""Seconds without a turn after which a worker with calls to deliver counts as stuck: twice the longest turn, and longer
than a relative waits before it reports the worker."""
REPLACED_CLOSE_S: Final = 1.0
"""Seconds that a replaced worker may take to close its client, once it runs again."""
LOG_INTERVAL_S: Final = 60.0
"""Minimum interval between two log lines about an unstable stream; drops are counted all the same."""

_ENCODING_FAULTS: Final = (TypeError, ValueError, AttributeError, OverflowError, struct.error)


class Worker:
    """Publishes the calls of one queue until it is stopped."""

    def __init__(
        self, settings: CollectorSettings, queue: BoundedQueue, open_publisher: Callable[[], Publisher]
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._open_publisher = open_publisher
        self.publisher: Publisher | None = None
        self._pending: list[tuple[Message, int]] = []
        self._stopping = False
        self._hurry = False
        """True while :meth:`flush` waits: calls are then published without delay."""
        self._busy = False
        self._deadline = 0.0
        self._pause_s = 0.0
        self._next_try = 0.0
        self._refused = False
        self._logged_unavailable_s = self._logged_refused_s = -LOG_INTERVAL_S
        self._logged_unavailable = False
        self._counted = {"encode": 0, "publish": 0}
        self.heartbeats = HeartbeatSchedule(settings.heartbeat_s, queue, self._counted)
        self._turned_s = time.monotonic()
        self._replaced = False
        self._app: App | None = None
        self._announced: App | None = None
        """The app identity of the last delivered heartbeat."""
        self._provider: object | None = None
        self._starter = self._process = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: No thread can be started.
        """
        if self._is_alive():  # a hook of the app raised after the start
            return
        self._starter, self._process = threading.get_native_id(), os.getpid()
        self._thread = internal_threads.make_daemon(self._run, "backwatch")
        internal_threads.start(self._thread)

    def is_stuck(self) -> bool:
        """Return whether the thread has ended, or has made no turn for too long. Never waits."""
        if self._stopping or self._replaced:
            return False
        late_s = max(STUCK_S, 2 * self._settings.heartbeat_s)
        return not self._is_alive() or time.monotonic() - self._turned_s > late_s

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def turned_s(self) -> float:
        """Time of the loop's last turn, by the monotonic clock."""
        return self._turned_s

    def hand_over_to(self, fresh: "Worker") -> None:
        """Hand the queue and the counts to a new worker. If this thread ever runs again, it exits at its next step.

        It then closes its own client, which no other thread may do.
        """
        self._replaced = True
        fresh.heartbeats.take_over(self.heartbeats)
        before = self.heartbeats
        fresh._counted.update(self._counted)
        in_flight = before.taken - before.delivered - sum(self._counted.values())
        fresh._counted["publish"] += max(0, in_flight)

    def stop(self, timeout_s: float) -> None:
        """Deliver the queue if possible and end the thread; return after ``timeout_s`` at the latest."""
        timeout_s = min(timeout_s, LAST_TRY_S) if self._pause_s else timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._stopping = True
        self._queue.wakeup.set()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all queued calls are delivered; return false after ``timeout_s``, or once that is certain."""
        deadline = time.monotonic() + timeout_s
        # In this order: the worker sets ``_busy`` before it takes calls, and clears ``_pending`` after delivery. In
        # another order, a turn that begins between two of the checks would be missed.
        while len(self._queue) or self._busy or self._pending:
            is_hopeless = self._pause_s and self._next_try > deadline
            if is_hopeless or time.monotonic() >= deadline or not self._is_alive():
                return False
            self._hurry = True
            self._queue.wakeup.set()
            time.sleep(0.01)
        return True

    def _run(self) -> None:
        shutdown.block_signals(self._starter)
        gc_passes.enter_thread()
        _suppress_instrumentation()
        wait_for_uwsgi(lambda: self._stopping or self._is_a_copy(), self._wait)
        if not self._is_a_copy():
            guard.never_breaks_the_host(self._connect)()
        while not self._stopping and not self._is_a_copy():
            guard.run_isolated(self._round)
        self._turn()
        if os.getpid() != self._process:
            threading.current_thread()  # registers this thread, which the fork removed, so that its end finds it
            return
        try:
            self._release()
        finally:  # a later thread of the app may get this one's identifier
            gc_passes.leave_thread()

    def _round(self) -> None:
        self._rest()
        if self._turn() is None:
            self._on_fault()

    def _release(self) -> None:
        """Close the client and free the process's slot. A replaced worker leaves the slot to its successor."""
        if self._replaced:
            if self.publisher is not None:
                guard.never_breaks_the_host(self.publisher.close)(REPLACED_CLOSE_S)
            return
        if self.heartbeats.slot is not None:
            self.heartbeats.slot.release()
        if self.publisher is not None:
            self.publisher.close(max(0.0, self._deadline - time.monotonic()))

    def _wait(self, seconds: float) -> None:
        self._mark()
        time.sleep(seconds)

    def _is_a_copy(self) -> bool:
        """Return whether a fork has copied this greenlet, or another worker has replaced this one.

        Queue and client then belong to the parent or the successor, and must be neither used nor closed.
        """
        return self._replaced or os.getpid() != self._process

    def _mark(self, *, delivered: bool = False) -> None:
        """Record for the app's threads and for related processes that the loop runs."""
        self._turned_s = time.monotonic()
        if self.heartbeats.slot is not None and not self._is_a_copy():
            self.heartbeats.slot.mark(delivered=delivered)

    def _rest(self) -> None:
        """Sleep until there is something to do: calls, a heartbeat, the next try, the stop."""
        queue = self._queue
        self._mark()
        if not self._pending and not len(queue):
            queue.idle = True
            # A call may have been queued between the two lines above and found the worker not idle.
            if not len(queue):
                queue.wakeup.wait(self.heartbeats.wait_s())
        queue.idle = False
        queue.wakeup.clear()
        wait_s = self._next_try - time.monotonic() if self._pause_s else self._settings.flush_interval_s
        until = time.monotonic() + wait_s
        while not self._stopping and (left := until - time.monotonic()) > 0:
            if not self._pause_s and (self._hurry or len(queue) >= FULL_BATCH):
                return
            queue.wakeup.wait(left)

    @guard.never_breaks_the_host
    def _turn(self) -> bool:
        """Deliver the calls that are queued now, as far as the stream accepts them; all calls when stopping."""
        self._busy, self._hurry = True, False
        self._mark()
        # Calls queued meanwhile wait for the next turn: otherwise a busy app's calls would be published in twos and
        # threes.
        left = len(self._queue)
        try:
            while not self._is_a_copy():
                if not self._pending and (left > 0 or self._stopping):
                    self._pending = self._next_batch()
                    left -= FULL_BATCH
                last = self._stopping and not len(self._queue)
                heartbeat = self.heartbeats.next_due(
                    last=last, stopping=self._stopping, batch_calls=self._pending_calls()
                )
                if not self._pending and heartbeat is None:
                    return True
                if not self._publish(heartbeat):
                    return False
            return False
        finally:
            self._busy = False

    def _pending_calls(self) -> int:
        return sum(count for _, count in self._pending)

    def _on_fault(self) -> None:
        if self._is_a_copy():
            return
        # A batch that failed in an unforeseen way would fail for ever: drop it, and the client with it.
        self._counted["publish"] += self._pending_calls()
        self._pending = []
        if self.publisher is not None:
            guard.never_breaks_the_host(self.publisher.close)(1.0)
            self.publisher = None
        self._fall_back()

    def _next_batch(self) -> list[tuple[Message, int]]:
        calls = self._queue.take(FULL_BATCH, MAX_VALUE_BYTES // 2)
        self.heartbeats.taken += len(calls)
        if not calls:
            return []
        before = self._counted["encode"]
        try:
            return self._encode(calls)
        except BaseException:
            # The calls have left the queue: after an unforeseen fault all of them are lost.
            self._counted["encode"] = before + len(calls)
            raise

    def _encode(self, calls: Sequence[Call]) -> list[tuple[Message, int]]:
        app = self._identity()
        try:
            value = encode_calls(app, calls)
        except _ENCODING_FAULTS as error:
            if len(calls) == 1:
                self._counted["encode"] += 1
                guard.log("backwatch: a call could not be encoded (%s)", type(error).__name__, level=logging.DEBUG)
                return []
            value = b""
        if value and (len(value) <= MAX_VALUE_BYTES or len(calls) == 1):
            return [(Message(value, app.key.encode()), len(calls))]
        half = len(calls) // 2
        return self._encode(calls[:half]) + self._encode(calls[half:])

    def _identity(self) -> App:
        provider = get_tracer_provider()
        if self._app is None or provider is not self._provider:
            self._app, self._provider = identify(self._settings.app_name), provider
        return self._app

    def _publish(self, heartbeat: Heartbeat | None) -> bool:
        messages = [message for message, _ in self._pending]
        if heartbeat is not None:
            messages += self._heartbeat_messages(self._identity(), heartbeat)
        publisher = self._connect()
        if publisher is None or self._is_a_copy():
            return False
        try:
            publisher.publish(names.TOPIC_CALLS, messages, self._time_left())
        except MessageRefused as error:
            if time.monotonic() - self._logged_refused_s >= LOG_INTERVAL_S:
                self._logged_refused_s = time.monotonic()
                guard.log("backwatch: %s; these calls are dropped and counted", error)
            self._counted["publish"] += self._pending_calls()
            if not self._pending:  # only a heartbeat: it would be due again at once, for ever
                self.heartbeats.postpone()
                return False
        except StreamUnavailable as error:
            self._on_unavailable(error)
            return False
        else:
            self._on_delivered(self._pending_calls(), heartbeat)
        self._pending = []
        return True

    def _heartbeat_messages(self, app: App, heartbeat: Heartbeat) -> list[Message]:
        """Encode a heartbeat, preceded by a final one under the app's former name if it has changed."""
        messages = [Message(encode_heartbeat(app, heartbeat.dropped, heartbeat.process), app.key.encode())]
        former = self._announced
        if former is not None and former.key != app.key:
            final = {**heartbeat.process, names.PROCESS_EVENT: "end"}
            messages.insert(0, Message(encode_heartbeat(former, {}, final), former.key.encode()))
        return messages

    def _on_delivered(self, calls: int, heartbeat: Heartbeat | None) -> None:
        if self._logged_unavailable:
            guard.log("backwatch: the stream is back")
            self._logged_unavailable = False
        self._pause_s = 0.0
        self.heartbeats.delivered += calls
        self._mark(delivered=calls > 0)
        if heartbeat is not None:
            self._announced = self._app
            self.heartbeats.on_delivered(heartbeat)

    def _time_left(self) -> float:
        return max(0.05, self._deadline - time.monotonic()) if self._stopping else PUBLISH_TIMEOUT_S

    def _connect(self) -> Publisher | None:
        if self.publisher is None and not self._refused:
            try:
                self.publisher = self._open_publisher()
            except StreamUnavailable as error:
                self._on_unavailable(error)
            except SettingError as error:
                self._refused = True
                guard.log("backwatch: %s; calls are not recorded, the application goes on", error)
        if self._refused:
            self._fall_back()
        return self.publisher

    def _on_unavailable(self, error: StreamUnavailable) -> None:
        if not self._pause_s and time.monotonic() - self._logged_unavailable_s >= LOG_INTERVAL_S:
            self._logged_unavailable_s, self._logged_unavailable = time.monotonic(), True
            guard.log(
                "backwatch: %s; up to %d calls are kept, the rest is dropped and counted; the application goes on",
                error, self._settings.queue_records,
            )  # fmt: skip
        self._fall_back()

    def _fall_back(self) -> None:
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), MAX_PAUSE_S)
        self._next_try = time.monotonic() + self._pause_s


def _suppress_instrumentation() -> None:
    """Keep OpenTelemetry's own instrumentations from tracing this thread."""
    from opentelemetry import context
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

    context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
