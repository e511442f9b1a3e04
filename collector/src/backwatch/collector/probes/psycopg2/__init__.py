"""psycopg2: ``connect`` makes a subclass of the class that the app chose, and such connections do so with cursors.

psycopg2's C functions reject proxies; to them a subclass is a real connection and a real cursor. Connections that
``poll`` drives (``async_=True``) return before the response: their bytes are marked as estimates, their rows unknown.
"""

import importlib
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.psycopg2.observer import Psycopg2CallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS, argument, build_observed_class, transaction_end_hook
from backwatch.collector.probes.toolkit.hooks import Function, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.subclasses import Subclasses


def _build_cursor_classes(base: type, observer: Psycopg2CallObserver) -> tuple[type, type]:
    """Build the classes of plain and of named cursors. Plain ones have all their rows once they have executed."""
    plain = build_observed_class(base, {
        "execute": observer.statement_hook(0, "query", enter=observer.on_execute),
        "executemany": observer.statement_hook(0, "query"),
        "callproc": observer.statement_hook(0, "procname", "CALL %s"),
        "copy_expert": observer.statement_hook(0, "sql"),
        "copy_from": observer.statement_hook(1, "table", "COPY %s FROM stdin"),
        "copy_to": observer.statement_hook(1, "table", "COPY %s TO stdout"),
    })  # fmt: skip
    named = build_observed_class(plain, {
        "fetchone": call_hook(None, observer.on_fetchone_end),
        "fetchmany": call_hook(None, observer.on_fetch_end),
        "fetchall": call_hook(None, observer.on_fetch_end),
        "__next__": call_hook(observer.on_next, observer.on_next_end),
    })  # fmt: skip
    return plain, named


def _build_connection_class(extensions: Any, observer: Psycopg2CallObserver) -> type:
    classes = _build_cursor_classes(extensions.cursor, observer)
    plain, named = (Subclasses(extensions.cursor, observed) for observed in classes)
    words = (("commit", "COMMIT"), ("rollback", "ROLLBACK"))
    base: Any = build_observed_class(extensions.connection, {
        method: transaction_end_hook(word, observer.is_idle, observer.record) for method, word in words
    })  # fmt: skip

    class Psycopg2Connection(base):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            chosen = argument(args, kwargs, 1, "cursor_factory") or self.cursor_factory or extensions.cursor
            name = argument(args, kwargs, 0, "name")
            observed = (plain if name is None else named).subclass_of(chosen)
            if observed is not None and len(args) > 1:
                args = (args[0], observed, *args[2:])
            elif observed is not None:
                kwargs["cursor_factory"] = observed
            return super().cursor(*args, **kwargs)

    return Psycopg2Connection


class Psycopg2Probe(PatchingProbe[Psycopg2CallObserver]):
    """psycopg2: connections and cursors, also of the app's own classes."""

    name = "psycopg2"
    module = "psycopg2"
    label = "psycopg2"
    service_kind = "SQL databases"
    distributions = ("psycopg2>=2.9.5", "psycopg2-binary>=2.9.5")
    facts = names.OVER_TLS | WIRE_FACTS | {names.AUTH_METHOD, names.ACCOUNT_SUPERUSER, names.BYTES_ESTIMATED}

    def install(self, recorder: Recorder) -> None:
        """Replace the function below ``psycopg2.connect``, which the app may have imported before."""
        module: Any = importlib.import_module("psycopg2")
        extensions: Any = importlib.import_module("psycopg2.extensions")
        observer, patches = Psycopg2CallObserver(recorder, module), Patches()
        self._observer, self._patches = observer, patches
        connections = Subclasses(extensions.connection, _build_connection_class(extensions, observer))

        def wrap_connect(original: Function) -> Function:
            def connect(*args: Any, **kwargs: Any) -> Any:
                start_ns, dsn = time_ns(), argument(args, kwargs, 0, "dsn")
                chosen = argument(args, kwargs, 1, "connection_factory") or extensions.connection
                observed = connections.subclass_of(chosen) if observer.recorder is not None else None
                if observed is not None:
                    args, kwargs = (dsn,), {**kwargs, "connection_factory": observed}
                    kwargs.pop("dsn", None)
                try:
                    connection = original(*args, **kwargs)
                except BaseException as error:
                    observer.on_connect_end(None, dsn, start_ns, error)
                    raise
                observer.on_connect_end(connection, dsn, start_ns, None)
                return connection

            return connect

        patches.wrap(module, "_connect", wrap_connect)
