"""The reports of Django's calls on databases whose driver no probe watches: connect, statements, rows, transactions."""

import weakref
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any, Final

from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, UNKNOWN, ConnectionState
from backwatch.collector.probes.toolkit.layers import (
    MAX_TEXT,
    LayerCallObserver,
    Reading,
    code_of,
    file_of,
    rows_of,
    seen_below,
    system_of,
)
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

Error = BaseException | None

_READS: Final[dict[str, Callable[[Any], int]]] = {
    "fetchone": lambda row: 0 if row is None else 1, "fetchmany": len, "fetchall": len,
}  # fmt: skip
_MAX_NAME: Final = 120


def _of_class(cursor: Any, name: str) -> Callable[..., Any]:
    """A cursor's method as it would be without ours in its ``__dict__``."""
    kind = type(cursor)
    own = getattr(kind, name, None)
    return kind.__getattr__(cursor, name) if own is None else own.__get__(cursor)


def session_of(wrapper: Any) -> Session:
    """What the settings of this database say; what is true of the connection only the driver knows."""
    said, vendor = wrapper.settings_dict, str(wrapper.vendor)
    if vendor == "sqlite":
        version = getattr(wrapper.Database, "sqlite_version", "")
        return Session(
            system="sqlite", address=file_of(said["NAME"]), transport="inproc", server_version=words(version)
        )
    host, port = words(said.get("HOST"), MAX_TEXT), str(said.get("PORT") or "")
    return Session(
        system=system_of(vendor),
        address=host,
        port=int(port) if port.isascii() and port.isdigit() and not host.startswith("/") else 0,
        namespace=words(said.get("NAME"), MAX_TEXT),
        transport="unix" if host.startswith("/") else "",
        account=words(said.get("USER"), MAX_TEXT),
    )


def _drivers(error: Error) -> Error:
    """The driver's own error, below the one that Django makes of it."""
    return error if error is None else error.__cause__ or error


class DjangoCallObserver(LayerCallObserver):
    """Follows the databases whose drivers nobody watches."""

    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder)
        self.wrappers: weakref.WeakSet[Any] = weakref.WeakSet()

    @never_breaks_the_host
    def made(self, wrapper: Any) -> bool:
        """Whether the calls of this database are to be told here."""
        driver = getattr(getattr(wrapper, "Database", None), "__name__", "")  # none where no database is configured
        if self.recorder is None or not driver or seen_below(driver):
            return False
        self.wrappers.add(wrapper)
        return True

    def _state_of(self, wrapper: Any, *, anew: bool = False) -> ConnectionState | None:
        if self.recorder is None or seen_below(wrapper.Database.__name__):
            return None
        state = vars(wrapper).get(STATE_ATTRIBUTE)
        if state is None or anew:
            state = vars(wrapper)[STATE_ATTRIBUTE] = ConnectionState(session_of(wrapper), None)
        return state

    @never_breaks_the_host
    def connected(self, wrapper: Any, start_ns: int, error: Error) -> None:
        """The driver connected, or failed to."""
        state = self._state_of(wrapper, anew=True)
        if state is not None:
            self.record_call(state, "connect", start_ns, error=_drivers(error), facts=code_of(_drivers(error)))

    @never_breaks_the_host
    def ended(self, wrapper: Any, word: str, start_ns: int, error: Error) -> None:
        """A transaction was ended."""
        state = self._state_of(wrapper) if wrapper.connection is not None else None
        if state is not None:
            self.record_call(state, word, start_ns, sql=word, error=_drivers(error), facts=code_of(_drivers(error)))

    @never_breaks_the_host
    def executed(self, context: Any, sql: Any, many: bool, start_ns: int, error: Error) -> None:
        """One ``execute`` or ``executemany``."""
        wrapper, cursor = context["connection"], context["cursor"]
        state = self._state_of(wrapper)
        if state is None:
            return
        self._left(cursor)
        rows = (UNKNOWN, UNKNOWN)
        if error is None:
            rows = rows_of(cursor.cursor)
            # psycopg2's server-side cursors, which have a name, describe their rows when the first one comes.
            some = cursor.cursor.description is not None or getattr(cursor.cursor, "name", None) is not None
            if rows[0] < 0 and not many and some:
                self._follow(cursor, Reading(state, sql, time_ns()))
        self.record_call(state, "", start_ns, sql=sql, rows=rows, error=_drivers(error), facts=code_of(_drivers(error)))

    @never_breaks_the_host
    def procedure(self, cursor: Any, name: Any, start_ns: int, error: Error) -> None:
        """``callproc``, which goes past the execute wrappers."""
        state = self._state_of(cursor.db) if cursor.db in self.wrappers else None
        if state is not None:
            self._left(cursor)
            sql = f"CALL {words(name, _MAX_NAME)}"
            self.record_call(state, "CALL", start_ns, sql=sql, error=_drivers(error), facts=code_of(_drivers(error)))

    # --- rows, where the driver does not say how many at once ---

    def _follow(self, cursor: Any, reading: Reading) -> None:
        mine = vars(cursor)
        mine[STATE_ATTRIBUTE] = reading
        if "fetchmany" not in mine:
            # The cursor must still go as soon as its owner lets go of it: no cycle may keep it.
            owner = weakref.ref(cursor)
            for name, count in _READS.items():
                mine[name] = self._counting(owner, name, count)
            mine["close"] = self._closing(owner)

    def _counting(self, owner: Callable[[], Any], name: str, count: Callable[[Any], int]) -> Callable[..., Any]:
        def fetch(*args: Any, **kwargs: Any) -> Any:
            cursor = owner()
            rows = _of_class(cursor, name)(*args, **kwargs)
            self._read(cursor, rows, count, last=name == "fetchall")
            return rows

        return fetch

    def _closing(self, owner: Callable[[], Any]) -> Callable[..., Any]:
        def close(*args: Any, **kwargs: Any) -> Any:
            cursor = owner()
            self._closed(cursor)
            return _of_class(cursor, "close")(*args, **kwargs)

        return close

    @never_breaks_the_host
    def _read(self, cursor: Any, rows: Any, count: Callable[[Any], int], *, last: bool) -> None:
        reading = vars(cursor).get(STATE_ATTRIBUTE)
        if reading is not None:
            found = count(rows)
            reading.rows += found
            if last or not found:
                self._left(cursor)

    def iterated(self, cursor: Any, rows: Iterator[Any]) -> Iterator[Any]:
        """The rows of a cursor that is read in a loop, counted as they go by."""
        reading = vars(cursor).get(STATE_ATTRIBUTE)
        return rows if reading is None else self._passing(cursor, rows, reading)

    def _passing(self, cursor: Any, rows: Iterator[Any], reading: Reading) -> Iterator[Any]:
        for row in rows:
            reading.rows += 1
            yield row
        self._closed(cursor)

    @never_breaks_the_host
    def _closed(self, cursor: Any) -> None:
        self._left(cursor)

    def _left(self, cursor: Any) -> None:
        reading = vars(cursor).pop(STATE_ATTRIBUTE, None)
        if reading is not None:
            self.end(reading)
