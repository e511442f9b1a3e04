"""The recorder of an app: it turns a driver's call into one compact, redacted record in a bounded queue.

It runs on the app's threads, so it never blocks, never raises and does no I/O. Queue, worker and random numbers belong
to one process: a child starts with new ones. Forks are detected by the process id, because some hosts run no fork hook
(uWSGI).
"""

import atexit
import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import context, trace

from backwatch.collector.exposure.mode import set_mode
from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import add_error_indicators
from backwatch.collector.pipeline.call_site import find_call_site
from backwatch.collector.pipeline.queue import BoundedQueue
from backwatch.collector.pipeline.worker import Worker
from backwatch.collector.redaction.sanitize import sanitize
from backwatch.collector.request import request_input
from backwatch.collector.request.request_input import add_input_sign
from backwatch.collector.runtime import guard, processes, shutdown
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, Call, Caller, Facts, Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Publisher

MAX_ERROR: Final = 100
MAX_OPERATION: Final = 60
MAX_TEXT: Final = 8192
RECORD_BYTES: Final = 700
"""Memory of a queued call without its texts, measured."""
FACT_BYTES: Final = 100
SESSION_BYTES: Final = 1200
MAX_CHARACTER_BYTES: Final = 4
"""Memory of a character at most: one that is not ASCII can make the whole text this wide."""
MAX_SESSIONS: Final = 10_000
EXIT_GRACE_S: Final = 0.5
"""Extra time beyond the exit timeout, for a busy machine."""
MIN_FINAL_FLUSH_S: Final = 0.25
"""Minimum time to deliver calls of the last exit handlers, however long the exit has waited before."""

_get_request = request_input.current
_get_context = context.get_current
_get_span = trace.get_current_span
_new = tuple.__new__
_now_ns = time.time_ns
_getpid = os.getpid


CHECK_INTERVAL_NS: Final = 10 * 10**9
"""Interval in which a thread of the app that records a call checks that the worker runs."""
FIRST_START_PAUSE_NS: Final = 10**9 // 2
"""Pause before a thread that could not be started is tried again; it doubles up to ``CHECK_INTERVAL_NS``."""
MAX_REPLACEMENTS: Final = 5
MIN_REPLACEMENT_INTERVAL_NS: Final = 60 * 10**9


class _ProcessState:
    """Queue, worker and random numbers of one process."""

    __slots__ = (
        "_make_worker", "_next_check_ns", "_replaced_ns", "_replacing", "_sessions", "_start_pause_ns", "_suspect_s",
        "queue", "random_bits", "replacements", "worker",
    )  # fmt: skip

    def __init__(self, settings: CollectorSettings, open_publisher: Callable[[], Publisher]) -> None:
        self.queue = BoundedQueue(settings.queue_records, settings.queue_bytes)
        self._make_worker = lambda: Worker(settings, self.queue, open_publisher)
        self.worker = self._make_worker()
        self._next_check_ns = self._replaced_ns = self.replacements = 0
        self._start_pause_ns = 0
        self._suspect_s = -1.0
        self._replacing = threading.Lock()
        """Held by the one thread that starts or replaces the worker; other threads do not wait for it."""
        self.random_bits = random.Random().getrandbits  # noqa: S311  ids, not secrets; seeded by the system
        self._sessions: set[int] = set()
        """Ids of sessions that queued calls keep alive, since the queue was last empty."""

    def put(self, call: Call) -> None:
        """Queue a call with its size in memory, or drop and count it."""
        session, text = id(call.session), call.text
        if call.end_ns > self._next_check_ns:
            self._check_worker(call.end_ns)
        size = RECORD_BYTES + (len(text) if text.isascii() else MAX_CHARACTER_BYTES * len(text))
        for _, value in call.facts:
            size += FACT_BYTES
            if value.__class__ is str:
                size += len(value) if value.isascii() else MAX_CHARACTER_BYTES * len(value)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        if session not in self._sessions:
            if not len(self.queue) or len(self._sessions) >= MAX_SESSIONS:
                self._sessions.clear()
            self._sessions.add(session)
            size += SESSION_BYTES
        if not self.queue.put(call, size):
            self._sessions.discard(session)

    def start(self, now_ns: int) -> bool:
        """Start the worker. If no thread can be started, a later call tries again after a growing pause."""
        if not self._replacing.acquire(blocking=False):
            return False
        before_ns, self._start_pause_ns = self._start_pause_ns, FIRST_START_PAUSE_NS
        if before_ns:
            self._start_pause_ns = min(2 * before_ns, CHECK_INTERVAL_NS)
        self._next_check_ns = now_ns + self._start_pause_ns
        try:
            self.worker.start()
            self._start_pause_ns = 0
        except RuntimeError as error:
            if not before_ns:
                guard.log("backwatch: %s; calls are kept, and the collector's thread is started later", error)
            return False
        finally:
            self._replacing.release()
        return True

    def _check_worker(self, now_ns: int) -> None:
        """Replace the worker if it is stuck: seen twice in the same turn, because a process may be stopped.

        At most once a minute: what blocks this worker may block the next one.
        """
        self._next_check_ns = now_ns + CHECK_INTERVAL_NS
        worker = self.worker
        if self._start_pause_ns:
            self.start(now_ns)
            return
        turned_s = worker.turned_s
        if not len(self.queue) or not worker.is_stuck():
            self._suspect_s = -1.0
        elif self._suspect_s != turned_s:
            self._suspect_s = turned_s
        elif self.replacements < MAX_REPLACEMENTS and now_ns - self._replaced_ns >= MIN_REPLACEMENT_INTERVAL_NS:
            if not self._replacing.acquire(blocking=False):
                return
            try:
                if self.worker is worker:
                    self.replacements += 1
                    self._replaced_ns, fresh = now_ns, self._make_worker()
                    worker.hand_over_to(fresh)
                    self.worker = fresh
            finally:
                self._replacing.release()
            if self.worker is not worker and self.start(now_ns):
                guard.log("backwatch: the collector's thread was stuck and was replaced by a new one")


class Pipeline:
    """The :class:`~backwatch.collector.probes.Recorder` of an app.

    Args:
        settings: Bounds and intervals.
        open_publisher: Opens the stream's publisher; called on the worker's thread only, once in each process.
    """

    def __init__(self, settings: CollectorSettings, open_publisher: Callable[[], Publisher]) -> None:
        self.settings = settings
        canaries.set_canaries(settings.canaries)
        set_mode(settings.exposure)
        processes.prepare_shared_page()  # before any fork, so that children see each other
        self._open_publisher = open_publisher
        self._processes: dict[int, _ProcessState] = {}
        self._closed = False
        self._waited_s, self._waited_till = 0.0, -math.inf
        _open_pipelines.add(self)
        shutdown.run_before_fatal_signal(self.close, settings.exit_timeout_s + EXIT_GRACE_S)

    def record_call(
        self,
        session: Session,
        operation: str,
        *,
        start_ns: int,
        sql: object = None,
        statement: str = "",
        wire: SocketCounters | None = None,
        estimated: tuple[int, int] = UNKNOWN,
        rows_returned: int = -1,
        rows_affected: int = -1,
        error: BaseException | str | None = None,
        facts: Facts = (),
        kind: int = CLIENT,
        caller: Caller | None = None,
    ) -> None:
        """Record one call that ends now (see :class:`~backwatch.collector.probes.Recorder`)."""
        # Guarded here and not by the decorator, and built without NamedTuple's ``__new__``: each would cost 1 µs.
        try:
            end_ns = _now_ns()
            sent, received = estimated if wire is None else wire.read_delta()
            signs = ""
            request = _get_request()
            if sql is not None:
                statement, signs, first_word = sanitize(sql, session.system)
                if request is not None:
                    signs = add_input_sign(request, sql, session.system, signs) or signs
                operation = operation or first_word
            elif len(statement) > MAX_TEXT:
                statement = statement[:MAX_TEXT]
            process = self._processes.get(_getpid()) or self._begin()
            if process is None:
                return
            if caller is not None:
                trace_id, parent_id, site, route = caller
            elif current := _get_context():
                trace_id, parent_id, site, route = _caller_in(current, request, sql)
            else:
                trace_id, parent_id, site = 0, 0, find_call_site(2, sql)
                route = "" if request is None else request.route or request.find_route()
            if error is not None and not isinstance(error, str):
                facts = add_error_indicators(facts, error)
            random_bits = process.random_bits
            made = _new(Call, (
                session, operation[:MAX_OPERATION], statement, sql is not None, signs, kind, site, route, start_ns,
                end_ns, trace_id or random_bits(128) or 1, random_bits(64) or 1, parent_id, sent, received,
                estimated is not UNKNOWN, rows_returned, rows_affected, "" if error is None else _error_type(error),
                facts,
            ))  # fmt: skip
            process.put(made)
        except Exception as fault:  # noqa: BLE001  a fault of the collector must not become the app's
            try:
                guard.swallow("Pipeline.record_call", fault)
            except (RecursionError, MemoryError) as another:
                if another is fault:  # raised by the host
                    raise
                guard.faults += 1  # nothing more: the stack has no room for another call

    @never_breaks_the_host
    def capture_caller(self) -> Caller:
        """Return the present caller (see :class:`~backwatch.collector.probes.Recorder`)."""
        return _caller_in(_get_context(), _get_request(), None)

    @never_breaks_the_host
    def add_call(self, call: Call) -> None:
        """Queue a call that the exporter has made and redacted."""
        process = self._processes.get(_getpid()) or self._begin()
        if process is not None:
            process.put(call)

    def _begin(self) -> _ProcessState | None:
        """Return this process's state, created by its first call; ``None`` after :meth:`close`."""
        if self._closed:
            return None
        mine = _ProcessState(self.settings, self._open_publisher)
        # Several threads may come here at once; ``setdefault`` lets one of them win without a lock.
        process = self._processes.setdefault(_getpid(), mine)
        if process is mine:
            process.worker.heartbeats.slot = processes.Slot()
            process.start(_now_ns())
            _flush_at_the_end_of_a_multiprocessing_child(self)
        return process

    def flush(self, timeout_s: float) -> bool:
        """Wait until this process's calls are delivered; return false after ``timeout_s``."""
        process = self._processes.get(_getpid())
        return process is None or process.worker.flush(timeout_s)

    def deliver(self) -> None:
        """Wait for delivery as long as an exit may. An exit that follows at once waits only for the remaining time."""
        began, timeout_s = time.monotonic(), self._remaining_exit_s()
        self.flush(timeout_s)
        self._waited_till = time.monotonic()
        self._waited_s = self.settings.exit_timeout_s - timeout_s + self._waited_till - began

    def _remaining_exit_s(self) -> float:
        """Return the seconds that an exit may still wait: a shutdown of the app's provider may have waited before."""
        timeout_s = self.settings.exit_timeout_s
        if time.monotonic() - self._waited_till >= timeout_s:
            return timeout_s
        return max(0.0, timeout_s - self._waited_s)

    def count_dropped(self) -> int:
        """Return the number of calls that this process's queue has dropped."""
        process = self._processes.get(_getpid())
        return 0 if process is None else process.queue.dropped

    def close(self) -> None:
        """Run the shutdown hooks, deliver within the exit timeout, and stop this process's worker."""
        shutdown.run_hooks()
        self._closed = True
        _open_pipelines.discard(self)
        shutdown.cancel_before_fatal_signal(self.close)
        process = self._processes.pop(_getpid(), None)
        if process is not None:
            process.worker.stop(max(MIN_FINAL_FLUSH_S, self._remaining_exit_s()))

    def after_fork(self) -> None:
        """Drop the parent's queue and worker in a child; the parent still serves them."""
        # A child must not close the parent's client, not even by garbage collection.
        _abandoned.extend(process.worker.publisher for process in self._processes.values())
        self._processes = {}


_open_pipelines: set[Pipeline] = set()
"""Pipelines that are not closed; kept from garbage collection, because they may have calls to deliver."""
_abandoned: list[object] = []


# Registered once for all pipelines, at import. Exit handlers run in reverse order, and a tracer provider, which hands
# its last spans to a pipeline, registers its handler between this import and the first pipeline.
@atexit.register
def _close_all() -> None:
    for pipeline in list(_open_pipelines):
        guard.never_breaks_the_host(pipeline.close)()


def _after_fork_in_child() -> None:
    guard.faults = 0  # the parent reports its own
    guard.collector_threads.clear()
    for pipeline in list(_open_pipelines):
        pipeline.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _flush_at_the_end_of_a_multiprocessing_child(pipeline: Pipeline) -> None:
    """Register a finalizer: children of ``multiprocessing`` exit by ``os._exit``, which runs no other handlers."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(pipeline, pipeline.close, exitpriority=-100)


def _error_type(error: BaseException | str) -> str:
    name = error if isinstance(error, str) else type(error).__name__
    return name[:MAX_ERROR]


def _caller_in(current: context.Context, request: request_input.RequestInput | None, sql: object) -> Caller:
    span = _get_span(current)
    span_context = span.get_span_context()
    # The framework's route first: that of a span is there only if the trace is sampled.
    route = "" if request is None else request.route or request.find_route()
    return Caller(span_context.trace_id, span_context.span_id, find_call_site(2, sql), route or _route(span))


def _route(span: Any) -> str:
    """Return ``http.route`` of the app's own span, if its SDK makes the attributes readable."""
    attributes = getattr(span, "attributes", None)
    if not attributes:
        return ""
    route = attributes.get("http.route")
    return route[:200] if isinstance(route, str) else ""
