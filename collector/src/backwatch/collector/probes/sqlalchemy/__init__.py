"""SQLAlchemy 1.4 to 2.1, synchronous and asyncio: tells the calls of engines whose driver no probe of ours watches.

Where one does, nothing of that engine is touched, and the driver's probe tells each call once. Else the public hooks of
the engine's own dialect are wrapped (``connect``, ``do_execute``, ``do_commit`` …), through which all that SQLAlchemy
asks of a driver goes, whatever pool, session or result lies above. What is told is what SQLAlchemy knows: the endpoint
of the URL, the statement before the driver fills in parameters, rows, errors; never what is true of the connection.
"""

import importlib
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.sqlalchemy.calls import SQLAlchemyCallObserver
from backwatch.collector.probes.toolkit.dbapi import Make, Report
from backwatch.collector.probes.toolkit.layers import Reading
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.guard import never_breaks_the_host

_MARK: Final = "_backwatch_hook"


def _hook(report: Report, dialect: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in one dialect's own ``__dict__`` before its class's method."""

    def hook(*args: Any, **kwargs: Any) -> Any:
        start_ns = time_ns()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            report(dialect, args, kwargs, start_ns, None, error)
            raise
        report(dialect, args, kwargs, start_ns, result, None)
        return result

    setattr(hook, _MARK, True)
    return hook


def _counting(observer: SQLAlchemyCallObserver, count: Callable[[Any], int]) -> Make:
    """Wraps what gives rows of a result."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            reading = observer.reading(self)
            if reading is None:
                return original(self, *args, **kwargs)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.read(reading, 0, error)
                raise
            observer.read(reading, count(result))
            return result

        return wrapper

    return make


def _iterating(observer: SQLAlchemyCallObserver) -> Make:
    """Wraps what iterates over the rows of a result."""

    def each(source: Iterator[Any], reading: Reading) -> Iterator[Any]:
        for row in source:
            observer.read(reading, 1)
            yield row
        observer.read(reading, 0)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _fetchiter_impl(self: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(self, *args, **kwargs)
            reading = observer.reading(self)
            return source if reading is None else each(source, reading)

        return _fetchiter_impl

    return make


def _closing(observer: SQLAlchemyCallObserver) -> Make:
    """Wraps the end of a result."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _soft_close(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(self, *args, **kwargs)
            finally:
                observer.closed(self)

        return _soft_close

    return make


class SQLAlchemyProbe(Probe):
    """SQLAlchemy's engines over drivers that have no probe of their own."""

    name = "sqlalchemy"
    module = "sqlalchemy"
    distributions = ("SQLAlchemy>=1.4",)
    facts = frozenset({
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.TRANSPORT, names.ACCOUNT,
        names.SERVER_VERSION, names.QUERY_TEXT, names.OPERATION, names.ROWS_RETURNED, names.ROWS_AFFECTED,
        names.ERROR_TYPE, names.STATUS_CODE,
    })  # fmt: skip
    _watch: SQLAlchemyCallObserver | None = None
    _patches: Patches | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps the end of an engine's constructor; the rest waits for the first one whose driver nobody watches."""
        observer, patches = SQLAlchemyCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        engines: Any = importlib.import_module("sqlalchemy.engine").Engine

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def instance_logger(instance: Any, *args: Any, **kwargs: Any) -> Any:
                result = original(instance, *args, **kwargs)
                if isinstance(instance, engines):
                    dialect = observer.made(instance)
                    if dialect is not None:
                        self._attach(dialect, observer, patches)
                return result

            return instance_logger

        # The last step of the constructor, which itself stays as it is: create_engine() reads from the names of its
        # parameters which keywords are an engine's, and would refuse `echo=True` if it saw a wrapper's.
        patches.wrap(importlib.import_module("sqlalchemy.log"), "instance_logger", make)

    @never_breaks_the_host
    def _attach(self, dialect: Any, observer: SQLAlchemyCallObserver, patches: Patches) -> None:
        hooks: dict[str, Report] = {
            "connect": observer.connected, "do_execute": observer.executed, "do_executemany": observer.executed_many,
            "do_execute_no_params": observer.executed, "do_commit": observer.committed,
            "do_rollback": observer.rolled_back, "do_ping": observer.pinged,
        }  # fmt: skip
        for name, report in hooks.items():
            original = getattr(dialect, name, None)
            if original is not None and name not in vars(dialect):
                vars(dialect)[name] = _hook(report, dialect, original)
        result: Any = importlib.import_module("sqlalchemy.engine").CursorResult
        if observer.counts:
            return
        observer.counts = True
        patches.wrap(result, "_fetchone_impl", _counting(observer, lambda row: 0 if row is None else 1))
        patches.wrap(result, "_fetchmany_impl", _counting(observer, len))
        patches.wrap(result, "_fetchall_impl", _counting(observer, len))
        patches.wrap(result, "_fetchiter_impl", _iterating(observer))
        patches.wrap(result, "_soft_close", _closing(observer))

    def remove(self) -> None:
        """Puts SQLAlchemy's own functions back, those of each living dialect too."""
        observer, patches = self._watch, self._patches
        if observer is not None:
            observer.recorder = None
            for dialect in list(observer.links):
                for name in [name for name, value in vars(dialect).items() if hasattr(value, _MARK)]:
                    del vars(dialect)[name]
        if patches is not None:
            patches.restore()
