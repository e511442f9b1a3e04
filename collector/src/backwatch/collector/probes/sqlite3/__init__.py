"""sqlite3 of the standard library: ``connect`` makes a subclass of the class that the app chose.

There is no wire: no TLS, no peer, no account, no bytes. Rows are read one by one, so their number is recorded by a
``FETCH`` call of the same statement, once they have all been read or the cursor is used again.
"""

import importlib
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.sqlite3.classes import build_connections
from backwatch.collector.probes.sqlite3.observer import SQLiteCallObserver
from backwatch.collector.probes.toolkit.dbapi import STATEMENT_FACTS
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import internal_clients

_FACTORY: Final = 5
"""Position of ``factory`` among the arguments of ``connect``."""


class SQLiteProbe(PatchingProbe[SQLiteCallObserver]):
    """sqlite3: connections and cursors, also of the app's own classes."""

    name = "sqlite3"
    module = "sqlite3"
    label = "sqlite3"
    service_kind = "SQL databases"
    distributions = ()
    facts = STATEMENT_FACTS | {names.TRANSPORT}

    def install(self, recorder: Recorder) -> None:
        """Replace ``connect``."""
        observer, patches = SQLiteCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        module: Any = importlib.import_module("sqlite3")
        connections, original = build_connections(module, observer), module.connect

        def connect(*args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            chosen = args[_FACTORY] if len(args) > _FACTORY else kwargs.get("factory", module.Connection)
            if getattr(chosen, internal_clients.INTERNAL_ATTRIBUTE, False):
                return original(*args, **kwargs)
            observed = connections.subclass_of(chosen) if observer.recorder is not None else None
            if observed is not None and len(args) > _FACTORY:
                args = (*args[:_FACTORY], observed, *args[_FACTORY + 1 :])
            elif observed is not None:
                kwargs["factory"] = observed
            try:
                connection = original(*args, **kwargs)
            except BaseException as error:
                observer.on_connect_end(None, args, kwargs, start_ns, error)
                raise
            observer.on_connect_end(connection, args, kwargs, start_ns, None)
            return connection

        for owner in (module, module.dbapi2):
            patches.wrap(owner, "connect", lambda _: connect)
