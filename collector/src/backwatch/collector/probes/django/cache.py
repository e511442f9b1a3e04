"""Observation of Django's cache on memcached, through a library without a probe (``pylibmc``): one call per method.

Redis, pymemcache and databases as caches are recorded by their drivers' probes; files and the process's own memory are
no services. What a cache returns cannot be inspected here: the library below has unpickled it by then.
"""

import weakref
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.django.session import describe_cache
from backwatch.collector.probes.toolkit.dbapi import UNKNOWN
from backwatch.collector.probes.toolkit.hooks import Error, Exit
from backwatch.collector.probes.toolkit.layers import hook_method, is_observed
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

METHODS: Final = (
    "add", "get", "set", "touch", "delete", "incr", "decr", "get_many", "set_many", "delete_many", "clear",
)  # fmt: skip


class CacheCallObserver(RecordingObserver):
    """Follows the caches whose library has no probe."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.caches: weakref.WeakSet[Any] = weakref.WeakSet()

    @never_breaks_the_host
    def on_cache(self, cache: Any, _token: Any, _result: Any, error: Error) -> None:
        """Hook the methods of a new cache, if its calls are to be recorded here."""
        if error is not None or self.recorder is None or is_observed(cache._lib.__name__):
            return
        session, own = describe_cache(cache), set[str]()
        for kind in type(cache).__mro__:
            if kind.__name__ == "BaseCache":  # whose methods go through the others
                break
            own.update(vars(kind))
        for name in METHODS:
            if name in own:
                hook_method(cache, name, self._call_end(cache._lib.__name__, session, name))
        self.caches.add(cache)

    def _call_end(self, library: str, session: Session, name: str) -> Exit:
        @never_breaks_the_host
        def on_call_end(_: Any, token: Any, result: Any, error: Error) -> None:
            if self.recorder is not None and not is_observed(library):
                rows = len(result) if name == "get_many" and isinstance(result, dict) else UNKNOWN
                self.recorder.record_call(
                    session, name, statement=name, start_ns=token[0], rows_returned=rows, error=error
                )  # fmt: skip

        return on_call_end
