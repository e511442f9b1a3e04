"""Django and its cache: records the calls of databases and memcached clients whose library has no probe.

Where it has one (psycopg, mysqlclient, sqlite3, redis, pymemcache …), nothing of that database or cache is touched, and
the driver's probe records each call once, with the view's line. Else the execute wrappers of a connection are used,
which Django offers for this, and the calls that do not go through them (connect, commit, rollback) are wrapped on that
one connection.
"""

import importlib
from types import ModuleType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.django.cache import CacheCallObserver
from backwatch.collector.probes.django.observer import DjangoCallObserver
from backwatch.collector.probes.toolkit.dbapi import SERVER_FACTS
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.layers import HOOK_MARK, remove_hooks
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

_MEMCACHED: Final = "django.core.cache.backends.memcached"


class DjangoProbe(PatchingProbe[DjangoCallObserver]):
    """Django's databases and caches over libraries that have no probe of their own."""

    name = "django"
    module = "django.db.backends.base.base"
    label = "Django"
    service_kind = "SQL databases"
    distributions = ("Django>=3.2",)
    facts = SERVER_FACTS | {names.TRANSPORT, names.STATEMENT}
    _caches: CacheCallObserver | None = None

    def install(self, recorder: Recorder) -> None:
        """Wrap the constructors of databases and, once they are imported, of caches on memcached."""
        observer, caches, patches = DjangoCallObserver(recorder), CacheCallObserver(recorder), Patches()
        self._observer, self._caches, self._patches = observer, caches, patches
        base: Any = importlib.import_module(self.module).BaseDatabaseWrapper
        cursors: Any = importlib.import_module("django.db.backends.utils").CursorWrapper
        patches.wrap(base, "__init__", call_hook(None, observer.on_database))
        patches.wrap(cursors, "__iter__", observer.wrap_iteration)
        patches.wrap(cursors, "callproc", call_hook(None, observer.on_callproc_end))

        @never_breaks_the_host
        def on_cache_import(module: ModuleType) -> None:
            if self._caches is caches and caches.recorder is not None:
                patches.wrap(module.BaseMemcachedCache, "__init__", call_hook(None, caches.on_cache))

        import_hooks.on_import(_MEMCACHED, on_cache_import)

    def remove(self) -> None:
        """Restore Django's own functions, those of each living database and cache too."""
        if self._caches is not None:
            self._caches.disable()
            for cache in list(self._caches.caches):
                remove_hooks(cache)
        if self._observer is not None:
            for wrapper in list(self._observer.databases):
                wrapper.execute_wrappers[:] = [
                    execute_wrapper for execute_wrapper in wrapper.execute_wrappers
                    if not hasattr(execute_wrapper, HOOK_MARK)
                ]  # fmt: skip
                remove_hooks(wrapper)
        super().remove()
