"""Django and its cache: tells the calls of databases and memcached clients whose library no probe of ours watches.

Where one does (psycopg, mysqlclient, sqlite3, redis, pymemcache …), nothing of that database or cache is touched, and
the driver's probe tells each call once, with the view's line. Else Django's own door for this is used, the execute
wrappers of a connection, and what it does not lead to (connect, commit, rollback) is wrapped on that one connection.
"""

import importlib
from collections.abc import Callable
from time import time_ns
from types import ModuleType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.django.cache import MARK, CacheWatch
from backwatch.collector.probes.django.calls import DjangoWatch
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

_MEMCACHED: Final = "django.core.cache.backends.memcached"
_ENDS: Final = {"_commit": "COMMIT", "_rollback": "ROLLBACK"}


def _hook(tell: Callable[[int, BaseException | None], object], original: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in one connection's own ``__dict__`` before its class's method."""

    def hook(*args: Any, **kwargs: Any) -> Any:
        start_ns = time_ns()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            tell(start_ns, error)
            raise
        tell(start_ns, None)
        return result

    setattr(hook, MARK, True)
    return hook


def _executing(watch: DjangoWatch) -> Callable[..., Any]:
    """An execute wrapper, as Django documents them."""

    def execute_wrapper(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        start_ns = time_ns()
        try:
            result = execute(sql, params, many, context)
        except BaseException as error:
            watch.executed(context, sql, many, start_ns, error)
            raise
        watch.executed(context, sql, many, start_ns, None)
        return result

    setattr(execute_wrapper, MARK, True)
    return execute_wrapper


def _iterating(watch: DjangoWatch) -> Make:
    """A loop over a cursor, which looks past the cursor's own ``__dict__``."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __iter__(cursor: Any) -> Any:  # noqa: N807  it is the method
            return watch.iterated(cursor, original(cursor))

        return __iter__

    return make


def _proceeding(watch: DjangoWatch) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def callproc(cursor: Any, procname: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            try:
                result = original(cursor, procname, *args, **kwargs)
            except BaseException as error:
                watch.procedure(cursor, procname, start_ns, error)
                raise
            watch.procedure(cursor, procname, start_ns, None)
            return result

        return callproc

    return make


class DjangoProbe(Probe):
    """Django's databases and caches over libraries that have no probe of their own."""

    name = "django"
    module = "django.db.backends.base.base"
    distributions = ("Django>=3.2",)
    facts = frozenset({
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.TRANSPORT, names.ACCOUNT,
        names.SERVER_VERSION, names.QUERY_TEXT, names.STATEMENT, names.OPERATION, names.ROWS_RETURNED,
        names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
    })  # fmt: skip
    _watch: DjangoWatch | None = None
    _caches: CacheWatch | None = None
    _patches: Patches | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps the constructors of connections and, once it is there, of caches on memcached."""
        watch, caches, patches = DjangoWatch(recorder), CacheWatch(recorder), Patches()
        self._watch, self._caches, self._patches = watch, caches, patches
        base: Any = importlib.import_module(self.module).BaseDatabaseWrapper

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def __init__(wrapper: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  it is the constructor
                original(wrapper, *args, **kwargs)
                if watch.made(wrapper):
                    _attach(watch, wrapper)

            return __init__

        def make_cache(original: Callable[..., Any]) -> Callable[..., Any]:
            def __init__(cache: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  it is the constructor
                original(cache, *args, **kwargs)
                caches.made(cache)

            return __init__

        @never_breaks_the_host
        def cached(module: ModuleType) -> None:
            if self._caches is caches and caches.recorder is not None:
                patches.wrap(module.BaseMemcachedCache, "__init__", make_cache)

        cursors: Any = importlib.import_module("django.db.backends.utils").CursorWrapper
        patches.wrap(base, "__init__", make)
        patches.wrap(cursors, "__iter__", _iterating(watch))
        patches.wrap(cursors, "callproc", _proceeding(watch))
        import_hooks.on_import(_MEMCACHED, cached)

    def remove(self) -> None:
        """Puts Django's own functions back, those of each living connection too."""
        watch = self._watch
        if self._caches is not None:
            self._caches.recorder = None
            for cache in list(self._caches.caches):
                _without_ours(cache)
        if watch is not None:
            watch.recorder = None
            for wrapper in list(watch.wrappers):
                wrapper.execute_wrappers[:] = [one for one in wrapper.execute_wrappers if not hasattr(one, MARK)]
                _without_ours(wrapper)
        if self._patches is not None:
            self._patches.restore()


def _without_ours(owner: Any) -> None:
    mine = vars(owner)
    for name in [name for name, value in mine.items() if hasattr(value, MARK)]:
        del mine[name]


@never_breaks_the_host
def _attach(watch: DjangoWatch, wrapper: Any) -> None:
    def connected(start_ns: int, error: BaseException | None) -> None:
        watch.connected(wrapper, start_ns, error)

    def ended(word: str) -> Callable[[int, BaseException | None], object]:
        return lambda start_ns, error: watch.ended(wrapper, word, start_ns, error)

    wrapper.execute_wrappers.append(_executing(watch))
    hooks = {"get_new_connection": connected, **{name: ended(word) for name, word in _ENDS.items()}}
    for name, tell in hooks.items():
        original = getattr(wrapper, name, None)
        if original is not None:
            vars(wrapper)[name] = _hook(tell, original)
