"""Django's cache on memcached, through a library that no probe watches (``pylibmc``): one call per method.

Redis, pymemcache and databases as caches are told by their drivers' probes; files and the process's own memory are no
services. What came back cannot be looked at here: the library below has unpickled it by then.
"""

import weakref
from collections.abc import Callable
from time import time_ns
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.dbapi import UNKNOWN
from backwatch.collector.probes.toolkit.layers import MAX_TEXT, seen_below
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

MARK: Final = "_backwatch_hook"
METHODS: Final = (
    "add", "get", "set", "touch", "delete", "incr", "decr", "get_many", "set_many", "delete_many", "clear",
)  # fmt: skip


def session_of(cache: Any) -> Session:
    """The server that the settings name; of several ones it is not known which answers."""
    servers = cache._servers
    one = words(servers[0], MAX_TEXT) if len(servers) == 1 else ""
    if one.startswith(("/", "unix:")):
        return Session(system="memcached", address=one.removeprefix("unix:"), transport="unix")
    host, _, port = one.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    return Session(system="memcached", address=host if number else one, port=number, transport="")


class CacheWatch:
    """Follows the caches whose library nobody watches."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder
        self.caches: weakref.WeakSet[Any] = weakref.WeakSet()

    @never_breaks_the_host
    def made(self, cache: Any) -> None:
        """A cache was made: its methods are watched, where that is to be done here."""
        if self.recorder is None or seen_below(cache._lib.__name__):
            return
        session, mine, own = session_of(cache), vars(cache), set[str]()
        for kind in type(cache).__mro__:
            if kind.__name__ == "BaseCache":  # whose methods go through the others
                break
            own.update(vars(kind))
        for name in METHODS:
            if name in own:
                mine[name] = self._calling(cache._lib.__name__, session, name, getattr(cache, name))
        self.caches.add(cache)

    def _calling(self, library: str, session: Session, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                self._called(library, session, name, start_ns, None, error)
                raise
            self._called(library, session, name, start_ns, result, None)
            return result

        setattr(method, MARK, True)
        return method

    @never_breaks_the_host
    def _called(
        self, library: str, session: Session, name: str, start_ns: int, result: Any, error: BaseException | None
    ) -> None:
        if self.recorder is None or seen_below(library):
            return
        rows = len(result) if name == "get_many" and isinstance(result, dict) else UNKNOWN
        self.recorder.record_call(session, name, statement=name, start_ns=start_ns, rows_returned=rows, error=error)
