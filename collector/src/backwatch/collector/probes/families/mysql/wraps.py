"""How methods of MySQL's drivers are wrapped: the driver's own call once, outside any guard, and the report of it."""

from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector.probes.families.mysql.observer import MySQLWatch
from backwatch.collector.probes.toolkit.dbapi import KEY, Make, argument


def executing(watch: MySQLWatch, name: str, phrase: str = "") -> Make:
    """Wraps a cursor's method.

    Args:
        name: Its first argument: the statement, or what stands in ``phrase``.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, link = time_ns(), watch.cursor_entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                if link is not None:
                    watch.executed(self, link, argument(args, kwargs, 0, name), start_ns, error, phrase)
                raise
            if link is not None:
                watch.executed(self, link, argument(args, kwargs, 0, name), start_ns, None, phrase)
            return result

        return wrapper

    return make


def querying(watch: MySQLWatch) -> Make:
    """Wraps ``Connection.query``, which cursors use and some apps too."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            known: Any = getattr(self, KEY, None)
            if known is not None and known.inside:  # a cursor's, as nearly all are
                return original(self, *args, **kwargs)
            start_ns, link = time_ns(), watch.entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                if link is not None:
                    watch.queried(self, link, argument(args, kwargs, 0, "sql"), start_ns, error)
                raise
            if link is not None:
                watch.queried(self, link, argument(args, kwargs, 0, "sql"), start_ns, None)
            return result

        return wrapper

    return make


def commanding(watch: MySQLWatch, operation: str, sql: str | None) -> Make:
    """Wraps a connection's method that sends one command of its own."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, link = time_ns(), watch.entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                watch.left(link, self, operation, start_ns, sql, error)
                raise
            watch.left(link, self, operation, start_ns, sql, None)
            return result

        return wrapper

    return make


def choosing(watch: MySQLWatch) -> Make:
    """Wraps ``select_db``: from then on the session is another database's."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, link = time_ns(), watch.entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                watch.left(link, self, "USE", start_ns, None, error)
                raise
            watch.chosen(self, link, argument(args, kwargs, 0, "db"), start_ns)
            return result

        return wrapper

    return make
