"""Observed classes of sqlite3's cursors and connections, derived from its C types."""

from functools import partial
from typing import Any, Final

from backwatch.collector.probes.sqlite3.observer import SQLiteCallObserver
from backwatch.collector.probes.toolkit.dbapi import RESULT_ATTRIBUTE, build_observed_class, transaction_end_hook
from backwatch.collector.probes.toolkit.hooks import Decorator, Function
from backwatch.collector.probes.toolkit.subclasses import Subclasses, bypasses_super

_EXECUTES: Final = ("execute", "executemany", "executescript")


def _build_cursor_class(base: type, observer: SQLiteCallObserver) -> type:
    observed: Any = build_observed_class(base, {name: observer.execute_hook(name) for name in _EXECUTES})

    class SQLiteCursor(observed):
        """A cursor that counts its rows. Without hooks, since some of these methods are called for each row."""

        def _backwatch_count(self, count: int, row: Any, rows: list[Any] | None = None, *, ends: bool) -> None:
            result = self.__dict__.get(RESULT_ATTRIBUTE)
            if result is not None:
                result.rows += count
                if result.sample is not None and count:
                    result.add_sample([row] if rows is None else rows)
                if ends:
                    observer.record_fetch(self)

        def __next__(self) -> Any:
            try:
                row = super().__next__()
            except StopIteration:
                observer.record_fetch(self)
                raise
            except BaseException as error:
                observer.record_fetch(self, error)
                raise
            self._backwatch_count(1, row, ends=False)
            return row

        def fetchone(self) -> Any:
            row = super().fetchone()
            self._backwatch_count(row is not None, row, ends=row is None)
            return row

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            rows = super().fetchmany(*args, **kwargs)
            self._backwatch_count(len(rows), None, rows, ends=not rows)
            return rows

        def fetchall(self) -> Any:
            rows = super().fetchall()
            self._backwatch_count(len(rows), None, rows, ends=True)
            return rows

        def close(self) -> None:
            observer.record_fetch(self)
            super().close()

        def __del__(self) -> None:
            if RESULT_ATTRIBUTE in self.__dict__:
                observer.record_fetch(self)

    return SQLiteCursor


def _outer_methods(module: Any, observer: SQLiteCallObserver, factory: type) -> dict[str, Any]:
    """Wrap methods of the app's class that call ``sqlite3.Cursor.execute(self, …)``, as Django's did before 4.2."""
    found = (name for name in _EXECUTES if bypasses_super(factory, module.Cursor, name))
    return {name: observer.outer_execute_hook(name)(getattr(factory, name)) for name in found}


def _end_hooks(observer: SQLiteCallObserver) -> dict[str, Decorator]:
    commit, rollback = (
        transaction_end_hook(word, observer.is_idle, observer.record_transaction_end) for word in ("COMMIT", "ROLLBACK")
    )

    def wrap_exit(original: Function) -> Function:
        committing, rolling_back = commit(original), rollback(original)

        def exit_block(self: Any, *args: Any) -> Any:
            return (committing if args and args[0] is None else rolling_back)(self, *args)

        return exit_block

    return {"commit": commit, "rollback": rollback, "__exit__": wrap_exit}


def build_connections(module: Any, observer: SQLiteCallObserver) -> Subclasses:
    """Build the observed classes of connections, whose cursors are observed, too."""
    cursor_class = _build_cursor_class(module.Cursor, observer)
    cursors = Subclasses(module.Cursor, cursor_class, partial(_outer_methods, module, observer))
    plain = cursors.subclass_of(module.Cursor) or module.Cursor
    observed: Any = build_observed_class(module.Connection, _end_hooks(observer))

    class SQLiteConnection(observed):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            if not args and not kwargs:
                return super().cursor(plain)
            if args:
                return super().cursor(cursors.subclass_of(args[0]) or args[0], *args[1:], **kwargs)
            if "factory" in kwargs:
                kwargs["factory"] = cursors.subclass_of(kwargs["factory"]) or kwargs["factory"]
            return super().cursor(**kwargs)

        # The C methods of these names do the same: a new cursor of the plain type, and its method of that name.
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(plain).execute(*args, **kwargs)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(plain).executemany(*args, **kwargs)

        def executescript(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(plain).executescript(*args, **kwargs)

    return Subclasses(module.Connection, SQLiteConnection)
