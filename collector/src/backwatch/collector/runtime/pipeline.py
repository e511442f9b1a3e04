"""What probes record into: from a driver's call to one compact, redacted record in a bounded queue.

Runs on the app's threads, so it never blocks, never raises and does no input or output. The queue, its worker and its
random numbers belong to one process: a fork, seen by its process id even where no hook runs (uWSGI), begins anew.
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

from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import add_error_indicators
from backwatch.collector.request import request_input
from backwatch.collector.request.request_input import add_input_sign
from backwatch.collector.runtime import guard, processes, shutdown
from backwatch.collector.runtime.call_site import find_call_site
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.queue import BoundedQueue
from backwatch.collector.runtime.record import CLIENT, AttributeValue, Call, Caller, Session
from backwatch.collector.runtime.worker import Worker
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.statements.sanitize import sanitize
from backwatch.collector.stream import Publisher

MAX_ERROR: Final = 100
MAX_OPERATION: Final = 60
MAX_TEXT: Final = 8192
RECORD_BYTES: Final = 700
"""What a queued call takes in memory beside its texts, measured."""
FACT_BYTES: Final = 100
SESSION_BYTES: Final = 1200
WIDEST: Final = 4
"""Bytes that a character may take in memory: one that is not ASCII may make a whole text so wide."""
MAX_SESSIONS: Final = 10_000
EXIT_GRACE_S: Final = 0.5
"""Beyond the exit timeout, for a machine that is busy."""
LAST_TURN_S: Final = 0.25
"""What came in the last exit handlers has so long at least, whoever has waited before."""

_get_request = request_input.current
_get_context = context.get_current
_get_span = trace.get_current_span
_new = tuple.__new__
_now_ns = time.time_ns
_getpid = os.getpid


LOOK_NS: Final = 10 * 10**9
"""How often a thread of the app that records a call looks whether the worker turns."""
FIRST_START_PAUSE_NS: Final = 10**9 // 2
"""After which a thread that could not be started is tried again; the pause doubles, up to ``LOOK_NS``."""
MAX_REVIVALS: Final = 5
REVIVAL_NS: Final = 60 * 10**9


class _OfOneProcess:
    """Queue, worker and random numbers of one process."""

    __slots__ = (
        "_look_ns", "_make", "_revived_ns", "_reviving", "_sessions", "_start_pause_ns", "_suspect_s", "queue",
        "random_bits", "revivals", "worker",
    )  # fmt: skip

    def __init__(self, settings: CollectorSettings, open_publisher: Callable[[], Publisher]) -> None:
        self.queue = BoundedQueue(settings.queue_records, settings.queue_bytes)
        self._make = lambda: Worker(settings, self.queue, open_publisher)
        self.worker = self._make()
        self._look_ns = self._revived_ns = self.revivals = 0
        self._start_pause_ns = 0
        self._suspect_s = -1.0
        self._reviving = threading.Lock()
        """Held by the one thread that starts another worker; others go on without it."""
        self.random_bits = random.Random().getrandbits  # noqa: S311  ids, not secrets; seeded by the system
        self._sessions: set[int] = set()
        """Those that queued calls keep alive, since the queue was last empty."""

    def put(self, call: Call) -> None:
        """Queues a call with what it will take in memory, or drops and counts it."""
        session, text = id(call.session), call.text
        if call.end_ns > self._look_ns:
            self._look(call.end_ns)
        size = RECORD_BYTES + (len(text) if text.isascii() else WIDEST * len(text))
        for _, value in call.facts:
            size += FACT_BYTES
            if value.__class__ is str:
                size += len(value) if value.isascii() else WIDEST * len(value)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        if session not in self._sessions:
            if not len(self.queue) or len(self._sessions) >= MAX_SESSIONS:
                self._sessions.clear()
            self._sessions.add(session)
            size += SESSION_BYTES
        if not self.queue.put(call, size):
            self._sessions.discard(session)

    def start(self, now_ns: int) -> bool:
        """Start the worker; where no thread can be started, a later call tries again, after a growing pause."""
        if not self._reviving.acquire(blocking=False):
            return False
        before_ns, self._start_pause_ns = self._start_pause_ns, FIRST_START_PAUSE_NS
        if before_ns:
            self._start_pause_ns = min(2 * before_ns, LOOK_NS)
        self._look_ns = now_ns + self._start_pause_ns
        try:
            self.worker.start()
            self._start_pause_ns = 0
        except RuntimeError as error:
            if not before_ns:
                guard.log("backwatch: %s; calls are kept, and the collector's thread is started later", error)
            return False
        finally:
            self._reviving.release()
        return True

    def _look(self, now_ns: int) -> None:
        """Start another worker where this one is stuck; twice seen at the same turn, since a process may be stopped.

        Once a minute at most: whatever holds the one may hold the next.
        """
        self._look_ns = now_ns + LOOK_NS
        worker = self.worker
        if self._start_pause_ns:
            self.start(now_ns)
            return
        turned_s = worker.turned_s
        if not len(self.queue) or not worker.is_stuck():
            self._suspect_s = -1.0
        elif self._suspect_s != turned_s:
            self._suspect_s = turned_s
        elif self.revivals < MAX_REVIVALS and now_ns - self._revived_ns >= REVIVAL_NS:
            if not self._reviving.acquire(blocking=False):
                return
            try:
                if self.worker is worker:
                    self.revivals += 1
                    self._revived_ns, fresh = now_ns, self._make()
                    worker.replaced_by(fresh)
                    self.worker = fresh
            finally:
                self._reviving.release()
            if self.worker is not worker and self.start(now_ns):
                guard.log("backwatch: the collector's thread made no turn for long and was replaced by a new one")


class Pipeline:
    """The :class:`~backwatch.collector.probes.Recorder` of an app.

    Args:
        settings: Bounds and intervals.
        open_publisher: Makes the stream's publisher; called on the worker's thread only, once in each process.
    """

    def __init__(self, settings: CollectorSettings, open_publisher: Callable[[], Publisher]) -> None:
        self.settings = settings
        canaries.set_canaries(settings.canaries)
        processes.prepare_shared_page()  # before any fork, so that children see each other
        self._open_publisher = open_publisher
        self._processes: dict[int, _OfOneProcess] = {}
        self._closed = False
        self._waited_s, self._waited_till = 0.0, -math.inf
        _living.add(self)
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
        facts: tuple[tuple[str, AttributeValue], ...] = (),
        kind: int = CLIENT,
        caller: Caller | None = None,
    ) -> None:
        """Records one call that ends now (see :class:`~backwatch.collector.probes.Recorder`)."""
        # Guarded here and not by the decorator, and made without NamedTuple's own ``__new__``: both cost a microsecond.
        try:
            end_ns = _now_ns()
            sent, received = estimated if wire is None else wire.read_delta()
            signs = ""
            if sql is not None:
                statement, signs, first_word = sanitize(sql, session.system)
                if (request := _get_request()) is not None:
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
                trace_id, parent_id, site, route = _caller_in(current)
            else:
                trace_id, parent_id, site, route = 0, 0, find_call_site(2), ""
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
        except Exception as fault:  # noqa: BLE001  our fault must not become the app's
            try:
                guard.swallow("Pipeline.record_call", fault)
            except (RecursionError, MemoryError) as another:
                if another is fault:  # the host's own
                    raise
                guard.faults += 1  # and no more: there is no room to call anything

    @never_breaks_the_host
    def capture_caller(self) -> Caller:
        """Who calls now (see :class:`~backwatch.collector.probes.Recorder`)."""
        return _caller_in(_get_context())

    @never_breaks_the_host
    def add_call(self, call: Call) -> None:
        """Queues a call that was made elsewhere (the exporter's); redacted already."""
        process = self._processes.get(_getpid()) or self._begin()
        if process is not None:
            process.put(call)

    def _begin(self) -> _OfOneProcess | None:
        """The first call in this process: its own queue and worker. ``None`` once closed."""
        if self._closed:
            return None
        mine = _OfOneProcess(self.settings, self._open_publisher)
        # Several threads may come here at once; a dictionary has one winner without a lock of ours.
        process = self._processes.setdefault(_getpid(), mine)
        if process is mine:
            process.worker.heartbeats.slot = processes.Slot()
            process.start(_now_ns())
            _flush_at_the_end_of_a_multiprocessing_child(self)
        return process

    def flush(self, timeout_s: float) -> bool:
        """Waits until this process's calls have been delivered; false after ``timeout_s``."""
        process = self._processes.get(_getpid())
        return process is None or process.worker.flush(timeout_s)

    def deliver(self) -> None:
        """Waits for the stream as long as an exit may; an exit that follows at once waits only for what is left."""
        began, patience_s = time.monotonic(), self._patience_s()
        self.flush(patience_s)
        self._waited_till = time.monotonic()
        self._waited_s = self.settings.exit_timeout_s - patience_s + self._waited_till - began

    def _patience_s(self) -> float:
        """How long an exit may wait now: whoever shut the app's provider down just before has waited already."""
        timeout_s = self.settings.exit_timeout_s
        if time.monotonic() - self._waited_till >= timeout_s:
            return timeout_s
        return max(0.0, timeout_s - self._waited_s)

    def dropped(self) -> int:
        """How many calls found no place in this process's queue."""
        process = self._processes.get(_getpid())
        return 0 if process is None else process.queue.dropped

    def close(self) -> None:
        """Delivers what it can within the exit timeout, with what probes kept back, and ends this process's worker."""
        shutdown.run_hooks()
        self._closed = True
        _living.discard(self)
        shutdown.cancel_before_fatal_signal(self.close)
        process = self._processes.pop(_getpid(), None)
        if process is not None:
            process.worker.stop(max(LAST_TURN_S, self._patience_s()))

    def after_fork(self) -> None:
        """In a child: lets go of the parent's queue and worker, which the parent still serves."""
        # The parent's client must not be closed from here, not even by the garbage collector.
        _abandoned.extend(process.worker.publisher for process in self._processes.values())
        self._processes = {}


_living: set[Pipeline] = set()
"""Those that nobody has closed; kept from the garbage collector, for they may have calls to deliver."""
_abandoned: list[object] = []


# Once for all pipelines, and when this module comes in: handlers run in reverse, and a tracer provider's, which hands
# its last spans to a pipeline, is registered when the provider is made, between this import and the first pipeline.
@atexit.register
def _close_all() -> None:
    for pipeline in list(_living):
        guard.never_breaks_the_host(pipeline.close)()


def _after_fork_in_child() -> None:
    guard.faults = 0  # the parent tells its own
    guard.collector_threads.clear()
    for pipeline in list(_living):
        pipeline.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _flush_at_the_end_of_a_multiprocessing_child(pipeline: Pipeline) -> None:
    """Children of ``multiprocessing`` leave by ``os._exit``: only its own finalizers run there."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(pipeline, pipeline.close, exitpriority=-100)


def _error_type(error: BaseException | str) -> str:
    name = error if isinstance(error, str) else type(error).__name__
    return name[:MAX_ERROR]


def _caller_in(current: context.Context) -> Caller:
    span = _get_span(current)
    of_span = span.get_span_context()
    return Caller(of_span.trace_id, of_span.span_id, find_call_site(2), _route(span))


def _route(span: Any) -> str:
    """``http.route`` of the app's own span, where the app runs an SDK that can be read."""
    attributes = getattr(span, "attributes", None)
    if not attributes:
        return ""
    route = attributes.get("http.route")
    return route[:200] if isinstance(route, str) else ""
