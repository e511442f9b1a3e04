"""psycopg 3, synchronous and asyncio: methods of its Python classes are wrapped, also for the app's subclasses.

Facts come from libpq itself, once per connection. In pipeline mode calls are recorded when they are queued, before
their responses: their bytes are marked as estimates, and what comes back belongs to the pipeline's own ``SYNC`` call.
"""

import importlib
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.psycopg.observer import PsycopgCallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS, transaction_end_hook
from backwatch.collector.probes.toolkit.hooks import (
    async_call_hook,
    call_hook,
    context_hook,
    delegating_hook,
    iterator_hook,
)
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _owner(kind: type, name: str) -> type:
    """Return the class of its ancestry that defines ``name``."""
    return next((ancestor for ancestor in kind.__mro__ if name in vars(ancestor)), kind)


class PsycopgProbe(PatchingProbe[PsycopgCallObserver]):
    """psycopg 3: connections, cursors of every kind, COPY, pipelines, transactions."""

    name = "psycopg"
    module = "psycopg"
    label = "psycopg 3"
    service_kind = "SQL databases"
    indicators = frozenset(("canary",))
    distributions = ("psycopg>=3.1.4",)
    facts = names.OVER_TLS | WIRE_FACTS | {
        names.AUTH_METHOD, names.ACCOUNT_SUPERUSER, names.BYTES_ESTIMATED, names.NOTICES,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap psycopg's classes."""
        observer, patches = PsycopgCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        module: Any = importlib.import_module("psycopg")
        connection, waiting = module.Connection, module.waiting
        patches.wrap(_owner(connection, "_connect_gen"), "_connect_gen", observer.wrap_connect)
        patches.wrap(waiting, "wait_conn", call_hook(None, observer.on_wait_end))
        patches.wrap(waiting, "wait_conn_async", async_call_hook(None, observer.on_wait_end))
        for method, word in (("_commit_gen", "COMMIT"), ("_rollback_gen", "ROLLBACK")):
            end = transaction_end_hook(word, observer.is_idle, observer.record, delegating_hook)
            patches.wrap(_owner(connection, method), method, end)
        fetch = delegating_hook(None, observer.on_fetch_end)
        patches.wrap(_owner(module.ServerCursor, "_fetch_gen"), "_fetch_gen", fetch)
        patches.wrap(module.Transaction, "__exit__", call_hook(None, observer.on_transaction_exit))
        patches.wrap(module.AsyncTransaction, "__aexit__", async_call_hook(None, observer.on_transaction_exit))
        for prefix, hook in (("", call_hook), ("Async", async_call_hook)):
            cursor, is_async = getattr(module, f"{prefix}Cursor"), bool(prefix)
            patches.wrap(cursor, "execute", hook(None, observer.on_execute_end))
            patches.wrap(cursor, "executemany", hook(None, observer.on_execute_end))
            patches.wrap(getattr(module, f"{prefix}ServerCursor"), "execute", hook(None, observer.on_declare_end))
            stream = iterator_hook(observer.on_block, observer.on_stream_end, asynchronous=is_async)
            patches.wrap(cursor, "stream", stream)
            patches.wrap(cursor, "copy", context_hook(observer.on_block, observer.on_copy_end, asynchronous=is_async))
            pipeline = context_hook(observer.on_block, observer.on_pipeline_end, asynchronous=is_async, leaving=True)
            patches.wrap(getattr(module, f"{prefix}Connection"), "pipeline", pipeline)
