"""The reports of SQLAlchemy's calls on drivers that no probe watches: connect, statements, rows, transactions."""

from collections import deque
from time import time_ns
from types import ModuleType
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, UNKNOWN, ConnectionState, argument
from backwatch.collector.probes.toolkit.layers import (
    MAX_TEXT,
    LayerCallObserver,
    Reading,
    code_of,
    file_of,
    rows_of,
    seen_below,
    system_of,
    version_of,
)
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

Error = BaseException | None
Arguments = tuple[Any, ...]
Options = dict[str, Any]

_BUFFERED: Final = "_rows"
"""Where SQLAlchemy's adapters of asynchronous drivers keep the rows, all of them read when it has executed."""


def driver_of(dialect: Any) -> str:
    """The package whose driver this dialect uses; ``""`` where it has none."""
    dbapi = getattr(dialect, "dbapi", None)  # an app's own dialect may lack it
    if dbapi is None:
        return ""
    if isinstance(dbapi, ModuleType):
        return dbapi.__name__
    return str(getattr(dialect, "driver", "")).removesuffix("_async")  # an adapter of SQLAlchemy's own


def session_of(dialect: Any, url: Any) -> Session:
    """What the engine's URL says; what is true of the connection only the driver knows."""
    version = version_of(getattr(dialect, "server_version_info", None))
    if dialect.name == "sqlite":
        file = file_of(url.database or ":memory:")
        return Session(system="sqlite", address=file, transport="inproc", server_version=version)
    return Session(
        system=system_of(dialect.name),
        address=words(url.host, MAX_TEXT),
        port=url.port or 0,
        namespace=words(url.database, MAX_TEXT),
        transport="",
        account=words(url.username, MAX_TEXT),
        server_version=version,
    )


class EngineState(ConnectionState):
    """One engine: its session as far as its URL tells it."""

    __slots__ = ("driver", "url", "version")

    def __init__(self, dialect: Any, url: Any, driver: str) -> None:
        super().__init__(session_of(dialect, url), None)
        self.driver = driver
        self.url = url
        self.version: object = None

    def learn(self, dialect: Any) -> None:
        """Once the first connection stands, SQLAlchemy has asked for the server's version."""
        version = getattr(dialect, "server_version_info", None)
        if version is not self.version:
            self.version, self.session = version, session_of(dialect, self.url)


class SQLAlchemyCallObserver(LayerCallObserver):
    """Follows the engines whose drivers nobody watches."""

    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder)
        self.links: WeakKeyDictionary[Any, EngineState] = WeakKeyDictionary()
        """By dialect; each engine has its own."""
        self.counts = False
        """Whether the rows of results are counted: from the first engine on that is told here."""

    @never_breaks_the_host
    def made(self, engine: Any) -> Any:
        """The dialect of a new engine, where its calls are to be told here."""
        dialect = engine.dialect
        driver = driver_of(dialect)
        if self.recorder is None or not driver or seen_below(driver) or dialect in self.links:
            return None
        self.links[dialect] = EngineState(dialect, engine.url, driver)
        return dialect

    def _state_of(self, dialect: Any) -> EngineState | None:
        state = self.links.get(dialect)
        if state is None or self.recorder is None or seen_below(state.driver):
            return None
        state.learn(dialect)
        return state

    @never_breaks_the_host
    def connected(self, dialect: Any, _a: Arguments, _k: Options, start_ns: int, _: Any, error: Error) -> None:
        """The driver connected, or failed to."""
        self._ended(dialect, "connect", start_ns, error, None)

    @never_breaks_the_host
    def executed(self, dialect: Any, args: Arguments, kwargs: Options, start_ns: int, _: Any, error: Error) -> None:
        """One ``execute`` of the driver's."""
        state = self._state_of(dialect)
        if state is None:
            return
        sql = argument(args, kwargs, 1, "statement")
        rows = (UNKNOWN, UNKNOWN)
        if error is None:
            rows = rows_of(args[0])
            if rows[0] < 0:
                rows = self._awaited(state, sql, args, kwargs, rows)
        self.record_call(state, "", start_ns, sql=sql, rows=rows, error=error, facts=code_of(error))

    @never_breaks_the_host
    def executed_many(
        self, dialect: Any, args: Arguments, kwargs: Options, start_ns: int, _: Any, error: Error
    ) -> None:
        """One ``executemany``; what many drivers then say of rows is true of the last page only."""
        state = self._state_of(dialect)
        if state is None:
            return
        sql = argument(args, kwargs, 1, "statement")
        rows = (UNKNOWN, UNKNOWN)
        if error is None:
            if getattr(dialect, "supports_sane_multi_rowcount", False):
                rows = (UNKNOWN, rows_of(args[0])[1])
            rows = self._awaited(state, sql, args, kwargs, rows)
        self.record_call(state, "", start_ns, sql=sql, rows=rows, error=error, facts=code_of(error))

    def _awaited(
        self, state: EngineState, sql: Any, args: Arguments, kwargs: Options, rows: tuple[int, int]
    ) -> tuple[int, int]:
        """Rows that are still to be read, or lie read with SQLAlchemy's adapter."""
        cursor = args[0]
        if cursor.description is None:
            return rows
        buffered = getattr(cursor, _BUFFERED, None)
        if buffered and isinstance(buffered, (list, deque)):
            return len(buffered), UNKNOWN
        context = kwargs.get("context") or args[-1]
        context.__dict__[STATE_ATTRIBUTE] = Reading(state, sql, time_ns())
        return rows

    @never_breaks_the_host
    def committed(self, dialect: Any, _a: Arguments, _k: Options, start_ns: int, _: Any, error: Error) -> None:
        """A transaction was ended well."""
        self._ended(dialect, "COMMIT", start_ns, error, "COMMIT")

    @never_breaks_the_host
    def rolled_back(self, dialect: Any, _a: Arguments, _k: Options, start_ns: int, _: Any, error: Error) -> None:
        """A transaction was given up, or a connection made ready for the next user."""
        self._ended(dialect, "ROLLBACK", start_ns, error, "ROLLBACK")

    @never_breaks_the_host
    def pinged(self, dialect: Any, _a: Arguments, _k: Options, start_ns: int, _: Any, error: Error) -> None:
        """A pooled connection was tried."""
        self._ended(dialect, "PING", start_ns, error, None)

    def _ended(self, dialect: Any, word: str, start_ns: int, error: Error, sql: str | None) -> None:
        state = self._state_of(dialect)
        if state is not None:
            self.record_call(state, word, start_ns, sql=sql, error=error, facts=code_of(error))

    # --- rows, where the driver does not say how many at once ---

    @never_breaks_the_host
    def reading(self, result: Any) -> Reading | None:
        """The rows that this result is about to give."""
        context = getattr(result, "context", None)
        found = None if context is None else context.__dict__.get(STATE_ATTRIBUTE)
        if found is None or found.state is None:
            return None
        found.inside = True
        return found

    @never_breaks_the_host
    def read(self, reading: Reading, rows: int, error: Error = None) -> None:
        """It gave so many."""
        reading.rows += rows
        reading.inside = False
        if error is not None or reading.closed:
            self.end(reading, getattr(error, "orig", None) or error)

    @never_breaks_the_host
    def closed(self, result: Any) -> None:
        """It will give no more."""
        context = getattr(result, "context", None)
        found = None if context is None else context.__dict__.get(STATE_ATTRIBUTE)
        if found is not None:
            found.closed = True
            if not found.inside:
                self.end(found)
