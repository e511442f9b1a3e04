"""What the SQL drivers' probes share: the link from a connection to its session, and the shape of a wrapped call.

A wrapped call calls the driver exactly once, outside any guard of ours, and reports afterwards. A report is a method
that is decorated with ``guard.never_breaks_the_host`` and takes ``(owner, args, kwargs, start_ns, result, error)``.
"""

from collections.abc import Callable
from time import time_ns
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.runtime.record import AttributeValue, Session
from backwatch.collector.session.socket_counters import SocketCounters

KEY: Final = "_backwatch_link"
"""Where a connection keeps its link: an entry of its ``__dict__``, which no ``__setattr__`` of the app's sees."""
UNKNOWN: Final = -1
MAX_ROWS: Final = 1 << 62
"""PyMySQL says 2**64 - 1 where it does not know; no count of rows is so large."""

Facts = tuple[tuple[str, AttributeValue], ...]
Report = Callable[[Any, tuple[Any, ...], dict[str, Any], int, Any, BaseException | None], object]
Make = Callable[[Callable[..., Any]], Callable[..., Any]]


class Link:
    """What hangs on one connection: its session, its byte counters, and whether a wrapped call is on its way."""

    __slots__ = ("inside", "session", "wire")

    def __init__(self, session: Session, wire: SocketCounters | None) -> None:
        self.session = session
        self.wire = wire
        self.inside = 0
        """Above 0 while a call of the app's runs whose inner calls are not the app's own."""


class Watch:
    """Where wrapped calls report. Without a recorder every wrapper is a mere passage."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.recorder = None

    def tell(
        self,
        link: Link,
        operation: str,
        start_ns: int,
        *,
        sql: object = None,
        rows: tuple[int, int] = (UNKNOWN, UNKNOWN),
        error: BaseException | str | None = None,
        facts: Facts = (),
        lost: bool = False,
    ) -> None:
        """Records one call that ends now.

        Args:
            rows: Returned and affected.
            lost: The connection is closed by now, so its descriptor may already be another socket's.
        """
        recorder = self.recorder
        if recorder is None:
            return
        recorder.record_call(
            link.session,
            operation,
            start_ns=start_ns,
            sql=sql,
            wire=None if lost else link.wire,
            rows_returned=rows[0] if rows[0] < MAX_ROWS else UNKNOWN,
            rows_affected=rows[1] if rows[1] < MAX_ROWS else UNKNOWN,
            error=error,
            facts=facts,
        )


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """The argument as the app passed it; ``None`` where it did not, which the driver has then refused."""
    return args[position] if len(args) > position else kwargs.get(name)


def calling(report: Report) -> Make:
    """Wraps a method: the driver's own call, then the report of it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                report(self, args, kwargs, start_ns, None, error)
                raise
            report(self, args, kwargs, start_ns, result, None)
            return result

        return wrapper

    return make


def awaiting(report: Report) -> Make:
    """Wraps a coroutine method likewise; time and bytes are those of the awaited call."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                report(self, args, kwargs, start_ns, None, error)
                raise
            report(self, args, kwargs, start_ns, result, None)
            return result

        return wrapper

    return make


def delegating(report: Report) -> Make:
    """Wraps a generator method that others drive (psycopg's I/O), without coming between it and its driver."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            try:
                result = yield from original(self, *args, **kwargs)
            except GeneratorExit:
                raise
            except BaseException as error:
                report(self, args, kwargs, start_ns, None, error)
                raise
            report(self, args, kwargs, start_ns, result, None)
            return result

        return wrapper

    return make
