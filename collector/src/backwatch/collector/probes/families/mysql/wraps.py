"""How methods of MySQL's drivers are wrapped: the driver's own call once, outside any guard, and the report of it."""

from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector.probes.families.mysql.observer import MySQLCallObserver
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, Make, argument


def executing(observer: MySQLCallObserver, name: str, phrase: str = "") -> Make:
    """Wraps a cursor's method.

    Args:
        name: Its first argument: the statement, or what stands in ``phrase``.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.cursor_entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                if state is not None:
                    observer.executed(self, state, argument(args, kwargs, 0, name), start_ns, error, phrase)
                raise
            if state is not None:
                observer.executed(self, state, argument(args, kwargs, 0, name), start_ns, None, phrase)
            return result

        return wrapper

    return make


def querying(observer: MySQLCallObserver) -> Make:
    """Wraps ``Connection.query``, which cursors use and some apps too."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            known: Any = getattr(self, STATE_ATTRIBUTE, None)
            if known is not None and known.inside:  # a cursor's, as nearly all are
                return original(self, *args, **kwargs)
            start_ns, state = time_ns(), observer.entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                if state is not None:
                    observer.queried(self, state, argument(args, kwargs, 0, "sql"), start_ns, error)
                raise
            if state is not None:
                observer.queried(self, state, argument(args, kwargs, 0, "sql"), start_ns, None)
            return result

        return wrapper

    return make


def commanding(observer: MySQLCallObserver, operation: str, sql: str | None) -> Make:
    """Wraps a connection's method that sends one command of its own."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.left(state, self, operation, start_ns, sql, error)
                raise
            observer.left(state, self, operation, start_ns, sql, None)
            return result

        return wrapper

    return make


def choosing(observer: MySQLCallObserver) -> Make:
    """Wraps ``select_db``: from then on the session is another database's."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.left(state, self, "USE", start_ns, None, error)
                raise
            observer.chosen(self, state, argument(args, kwargs, 0, "db"), start_ns)
            return result

        return wrapper

    return make
