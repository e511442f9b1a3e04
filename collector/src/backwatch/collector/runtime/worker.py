"""The one daemon thread that talks to the stream: takes from the queue, encodes, publishes, retries, sends heartbeats.

Nothing here runs on a thread of the app. What it publishes with is made here, after any fork, and owned by this thread.
With gevent the thread is a greenlet, which a fork copies: a copy leaves at once, and leaves all it sees to the parent.
"""

import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from backwatch.collector import names
from backwatch.collector.runtime import gc_passes, guard, internal_threads, shutdown
from backwatch.collector.runtime.app_identity import App, get_tracer_provider, identify
from backwatch.collector.runtime.encoder import encode_calls, encode_heartbeat
from backwatch.collector.runtime.forks import wait_for_uwsgi
from backwatch.collector.runtime.heartbeat import Heartbeat, Heartbeats
from backwatch.collector.runtime.queue import FULL_BATCH, BoundedQueue
from backwatch.collector.runtime.record import Call
from backwatch.collector.settings import CollectorSettings, SettingError
from backwatch.collector.stream import Message, MessageRefused, Publisher, StreamUnavailable

MAX_VALUE_BYTES: Final = 900_000
"""Of one record on the stream: below the one megabyte that brokers take, with room for key and headers."""
PUBLISH_TIMEOUT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
LAST_TRY_S: Final = 1.0
"""How long an exit waits for a stream that was away when it was last tried."""
STUCK_S: Final = 30.0
"""Seconds without a turn after which a worker that has calls to deliver is taken for stuck: twice what a turn may take,
and longer than a relative waits before it reports it."""
RETIRED_CLOSE_S: Final = 1.0
"""How long a worker that was replaced may take to close its client, once it goes on."""
SAY_AGAIN_S: Final = 60.0
"""A stream that comes and goes is not logged more often than this; drops are counted all the same."""

_ENCODING_FAULTS: Final = (TypeError, ValueError, AttributeError, OverflowError, struct.error)


class Worker:
    """Empties one queue into the stream until it is stopped."""

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
        """Whether somebody waits for what is queued: it is not left to gather."""
        self._busy = False
        self._deadline = 0.0
        self._pause_s = 0.0
        self._next_try = 0.0
        self._refused = False
        self._said = self._said_refused = -SAY_AGAIN_S
        self._said_away = False
        self._counted = {"encode": 0, "publish": 0}
        self.heartbeats = Heartbeats(settings.heartbeat_s, queue, self._counted)
        self._turned_s = time.monotonic()
        self._retired = False
        self._app: App | None = None
        self._announced: App | None = None
        """As which app the last heartbeat was delivered."""
        self._provider: object | None = None
        self._starter = self._process = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread.

        Raises:
            RuntimeError: No thread can be started.
        """
        if self._is_alive():  # what raised then was a hook of the app, after the start
            return
        self._starter, self._process = threading.get_native_id(), os.getpid()
        self._thread = internal_threads.make_daemon(self._run, "backwatch")
        internal_threads.start(self._thread)

    def is_stuck(self) -> bool:
        """Return whether the thread has ended, or has made no turn for long; never waits."""
        if self._stopping or self._retired:
            return False
        late_s = max(STUCK_S, 2 * self._settings.heartbeat_s)
        return not self._is_alive() or time.monotonic() - self._turned_s > late_s

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def turned_s(self) -> float:
        """When the loop last turned, by the monotonic clock."""
        return self._turned_s

    def replaced_by(self, fresh: "Worker") -> None:
        """Hand the queue and the counts over; where this thread ever goes on, it leaves at its next step.

        It closes its own client then, which no other thread may do.
        """
        self._retired = True
        fresh.heartbeats.take_over(self.heartbeats)
        before = self.heartbeats
        fresh._counted.update(self._counted)
        in_flight = before.taken - before.delivered - sum(self._counted.values())
        fresh._counted["publish"] += max(0, in_flight)

    def stop(self, timeout_s: float) -> None:
        """Delivers what is queued if it can, and ends; comes back after ``timeout_s`` whatever happens."""
        timeout_s = min(timeout_s, LAST_TRY_S) if self._pause_s else timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._stopping = True
        self._queue.wakeup.set()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Waits until all that is queued now has been delivered; false after ``timeout_s``, or once that is certain."""
        deadline = time.monotonic() + timeout_s
        # In this order: who takes from the queue is busy before, and no longer pending only when it has arrived. Asked
        # the other way round, a turn that began between two of the questions would have been overlooked.
        while len(self._queue) or self._busy or self._pending:
            in_vain = self._pause_s and self._next_try > deadline  # nothing is tried before
            if in_vain or time.monotonic() >= deadline or not self._is_alive():
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
            threading.current_thread()  # enters this thread where its end looks for it: the fork has forgotten it
            return
        try:
            self._let_go()
        finally:  # the next thread of the app may get this one's identifier
            gc_passes.leave_thread()

    def _round(self) -> None:
        self._rest()
        if self._turn() is None:
            self._after_a_fault()

    def _let_go(self) -> None:
        """Give back what this process has. A worker that was replaced gives back its client: the slot is its heir's."""
        if self._retired:
            if self.publisher is not None:
                guard.never_breaks_the_host(self.publisher.close)(RETIRED_CLOSE_S)
            return
        if self.heartbeats.slot is not None:
            self.heartbeats.slot.release()
        if self.publisher is not None:
            self.publisher.close(max(0.0, self._deadline - time.monotonic()))

    def _wait(self, seconds: float) -> None:
        self._mark()
        time.sleep(seconds)

    def _is_a_copy(self) -> bool:
        """Whether a fork has copied this greenlet: queue and client are the parent's, to be neither used nor closed.

        So it is where another worker has taken over.
        """
        return self._retired or os.getpid() != self._process

    def _mark(self, *, delivered: bool = False) -> None:
        """Note, for the app's threads and for related processes, that the loop turns."""
        self._turned_s = time.monotonic()
        if self.heartbeats.slot is not None and not self._is_a_copy():
            self.heartbeats.slot.mark(delivered=delivered)

    def _rest(self) -> None:
        """Sleeps until there is something to do: calls, a heartbeat, the next try, the end."""
        queue = self._queue
        self._mark()
        if not self._pending and not len(queue):
            queue.idle = True
            # A call may have come between the two lines above and found the worker not idle.
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
        """Delivers all that is there now, or as much as the stream takes; at the end, all there is."""
        self._busy, self._hurry = True, False
        self._mark()
        # What comes meanwhile waits for its own turn: else a busy app's calls would go out by twos and threes.
        left = len(self._queue)
        try:
            while not self._is_a_copy():
                if not self._pending and (left > 0 or self._stopping):
                    self._pending = self._next_batch()
                    left -= FULL_BATCH
                last = self._stopping and not len(self._queue)
                carried = sum(count for _, count in self._pending)
                heartbeat = self.heartbeats.next_due(last=last, stopping=self._stopping, carried=carried)
                if not self._pending and heartbeat is None:
                    return True
                if not self._publish(heartbeat):
                    return False
            return False
        finally:
            self._busy = False

    def _after_a_fault(self) -> None:
        if self._is_a_copy():
            return
        # What failed in an unforeseen way would fail so for ever: let go of it, and of the client.
        self._counted["publish"] += sum(count for _, count in self._pending)
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
            # They are in no queue any more: after a fault that is not foreseen, all of them are lost.
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
            if time.monotonic() - self._said_refused >= SAY_AGAIN_S:
                self._said_refused = time.monotonic()
                guard.log("backwatch: %s; these calls are dropped and counted", error)
            self._counted["publish"] += sum(count for _, count in self._pending)
            if not self._pending:  # a heartbeat alone: it would be due again at once, for ever
                self.heartbeats.postpone()
                return False
        except StreamUnavailable as error:
            self._unreachable(error)
            return False
        else:
            self._delivered(sum(count for _, count in self._pending), heartbeat)
        self._pending = []
        return True

    def _heartbeat_messages(self, app: App, heartbeat: Heartbeat) -> list[Message]:
        """Encode a heartbeat; before it a farewell to the name that the app had before it named itself."""
        messages = [Message(encode_heartbeat(app, heartbeat.dropped, heartbeat.process), app.key.encode())]
        former = self._announced
        if former is not None and former.key != app.key:
            farewell = {**heartbeat.process, names.PROCESS_EVENT: "end"}
            messages.insert(0, Message(encode_heartbeat(former, {}, farewell), former.key.encode()))
        return messages

    def _delivered(self, calls: int, heartbeat: Heartbeat | None) -> None:
        if self._said_away:
            guard.log("backwatch: the stream is back")
            self._said_away = False
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
                self._unreachable(error)
            except SettingError as error:
                self._refused = True
                guard.log("backwatch: %s; calls are not recorded, the application goes on", error)
        if self._refused:
            self._fall_back()
        return self.publisher

    def _unreachable(self, error: StreamUnavailable) -> None:
        if not self._pause_s and time.monotonic() - self._said >= SAY_AGAIN_S:
            self._said, self._said_away = time.monotonic(), True
            guard.log(
                "backwatch: %s; up to %d calls are kept, the rest is dropped and counted; the application goes on",
                error, self._settings.queue_records,
            )  # fmt: skip
        self._fall_back()

    def _fall_back(self) -> None:
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._next_try = time.monotonic() + self._pause_s


def _suppress_instrumentation() -> None:
    """Tells OpenTelemetry's own instrumentations that what this thread does is not to be traced."""
    from opentelemetry import context
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

    context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
