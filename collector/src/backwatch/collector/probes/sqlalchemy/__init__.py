"""SQLAlchemy 1.4 to 2.1, synchronous and asyncio: records the calls of engines whose driver has no probe.

Where it has one, that engine is left alone, and the driver's probe records each call once. Else the public hooks
of the engine's own dialect are wrapped (``connect``, ``do_execute``, ``do_commit`` …), through which SQLAlchemy sends
everything to a driver, whichever pool, session or result is above. The facts are those that SQLAlchemy knows: the
endpoint of the URL, the statement before the driver fills in parameters, rows, errors; none of the connection.
"""

import importlib
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.sqlalchemy.observer import SQLAlchemyCallObserver
from backwatch.collector.probes.toolkit.dbapi import SERVER_FACTS
from backwatch.collector.probes.toolkit.hooks import Exit, Function, call_hook
from backwatch.collector.probes.toolkit.layers import hook_method, remove_hooks
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.guard import never_breaks_the_host


class SQLAlchemyProbe(PatchingProbe[SQLAlchemyCallObserver]):
    """SQLAlchemy's engines over drivers that have no probe of their own."""

    name = "sqlalchemy"
    module = "sqlalchemy"
    label = "SQLAlchemy"
    service_kind = "SQL databases"
    distributions = ("SQLAlchemy>=1.4",)
    facts = SERVER_FACTS | {names.TRANSPORT}
    _counts_rows = False
    """True once rows of results are counted: from the first engine on whose calls are recorded here."""

    def install(self, recorder: Recorder) -> None:
        """Wrap the end of an engine's constructor; the rest waits for the first engine whose driver has no probe."""
        observer, patches = SQLAlchemyCallObserver(recorder), Patches()
        self._observer, self._patches, self._counts_rows = observer, patches, False
        engine_class: Any = importlib.import_module("sqlalchemy.engine").Engine

        def wrap_instance_logger(original: Function) -> Function:
            def instance_logger(instance: Any, *args: Any, **kwargs: Any) -> Any:
                result = original(instance, *args, **kwargs)
                if isinstance(instance, engine_class):
                    dialect = observer.add_engine(instance)
                    if dialect is not None:
                        self._attach(dialect, observer, patches)
                return result

            return instance_logger

        # The last step of the constructor. The constructor itself stays as it is: create_engine() reads from the names
        # of its parameters which keywords are an engine's, and would refuse `echo=True` if it saw a wrapper's.
        patches.wrap(importlib.import_module("sqlalchemy.log"), "instance_logger", wrap_instance_logger)

    @never_breaks_the_host
    def _attach(self, dialect: Any, observer: SQLAlchemyCallObserver, patches: Patches) -> None:
        hooks: dict[str, Exit] = {
            "connect": observer.command_end("connect", None), "do_execute": observer.on_execute_end,
            "do_executemany": observer.on_execute_many_end, "do_execute_no_params": observer.on_execute_end,
            "do_commit": observer.command_end("COMMIT", "COMMIT"),
            "do_rollback": observer.command_end("ROLLBACK", "ROLLBACK"), "do_ping": observer.command_end("PING", None),
        }  # fmt: skip
        for name, on_end in hooks.items():
            hook_method(dialect, name, on_end)
        if self._counts_rows:
            return
        self._counts_rows = True
        result: Any = importlib.import_module("sqlalchemy.engine").CursorResult
        patches.wrap(result, "_fetchone_impl", observer.read_hook(lambda row: 0 if row is None else 1))
        patches.wrap(result, "_fetchmany_impl", observer.read_hook(len))
        patches.wrap(result, "_fetchall_impl", observer.read_hook(len))
        patches.wrap(result, "_fetchiter_impl", observer.wrap_iteration)
        patches.wrap(result, "_soft_close", call_hook(None, observer.on_close_end))

    def remove(self) -> None:
        """Restore SQLAlchemy's own functions, those of each living dialect too."""
        if self._observer is not None:
            for dialect in list(self._observer.engines):
                remove_hooks(dialect)
        super().remove()
