"""psycopg 3, synchronous and asyncio: methods of its Python classes are wrapped, and the app's subclasses with them.

Facts come from libpq itself (``_libpq.py``), once per connection. In pipeline mode calls are reported when they are
queued, before their answers: their bytes are marked as estimates, and what comes back belongs to the pipeline's own
``SYNC`` call.
"""

import importlib
from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.psycopg.calls import Attempt, PsycopgCallObserver
from backwatch.collector.probes.toolkit.blocks import around, around_async, streaming, streaming_async
from backwatch.collector.probes.toolkit.dbapi import Make, awaiting, calling, delegating
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _ending(observer: PsycopgCallObserver, word: str) -> Make:
    """Wraps the generator of commit or rollback; where no transaction is open nothing is sent, and nothing told."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, idle = time_ns(), observer.idle(self)
            try:
                result = yield from original(self, *args, **kwargs)
            except BaseException as error:
                observer.ended(self, word, start_ns, error)
                raise
            if not idle:
                observer.ended(self, word, start_ns, None)
            return result

        return wrapper

    return make


def _attempting(observer: PsycopgCallObserver) -> Make:
    """Wraps the generator that connects."""

    def run(source: Any, attempt: Attempt | None) -> Any:
        try:
            connection = yield from source
        except BaseException as error:
            observer.connected(attempt, None, error)
            raise
        observer.connected(attempt, connection, None)
        return connection

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect_gen(kind: Any, *args: Any, **kwargs: Any) -> Any:
            attempt = observer.begun(args, kwargs, time_ns())
            generator = run(original(kind, *args, **kwargs), attempt)
            observer.drives(generator, attempt)
            return generator

        return connect_gen

    return make


def _waiting(observer: PsycopgCallObserver) -> Make:
    """Wraps what drives that generator: a time-out leaves it where it is until the garbage collector comes."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wait_conn(generator: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(generator, *args, **kwargs)
            except BaseException as error:
                observer.gave_up(generator, error)
                raise

        return wait_conn

    return make


def _waiting_async(observer: PsycopgCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wait_conn(generator: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await original(generator, *args, **kwargs)
            except BaseException as error:
                observer.gave_up(generator, error)
                raise

        return wait_conn

    return make


def _owner(kind: type, name: str) -> type:
    """The class of its ancestry that defines ``name``."""
    return next((one for one in kind.__mro__ if name in vars(one)), kind)


class PsycopgProbe(PatchingProbe[PsycopgCallObserver]):
    """psycopg 3: connections, cursors of every kind, COPY, pipelines, transactions."""

    name = "psycopg"
    module = "psycopg"
    distributions = ("psycopg>=3.1.4",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.AUTH_METHOD, names.ACCOUNT_SUPERUSER, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE,
        names.STATUS_CODE,
        names.NOTICES,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps psycopg's classes."""
        observer, patches = PsycopgCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        module: Any = importlib.import_module("psycopg")
        connection, server = module.Connection, module.ServerCursor
        patches.wrap(_owner(connection, "_connect_gen"), "_connect_gen", _attempting(observer))
        patches.wrap(module.waiting, "wait_conn", _waiting(observer))
        patches.wrap(module.waiting, "wait_conn_async", _waiting_async(observer))
        patches.wrap(_owner(connection, "_commit_gen"), "_commit_gen", _ending(observer, "COMMIT"))
        patches.wrap(_owner(connection, "_rollback_gen"), "_rollback_gen", _ending(observer, "ROLLBACK"))
        patches.wrap(_owner(server, "_fetch_gen"), "_fetch_gen", delegating(observer.fetched))
        for kind, wrap in ((module.Cursor, calling), (module.AsyncCursor, awaiting)):
            patches.wrap(kind, "execute", wrap(observer.executed))
            patches.wrap(kind, "executemany", wrap(observer.executed))
        patches.wrap(server, "execute", calling(observer.declared))
        patches.wrap(module.AsyncServerCursor, "execute", awaiting(observer.declared))
        patches.wrap(module.Transaction, "__exit__", calling(observer.left))
        patches.wrap(module.AsyncTransaction, "__aexit__", awaiting(observer.left))
        patches.wrap(module.Cursor, "stream", streaming(observer.streamed, "query"))
        patches.wrap(module.AsyncCursor, "stream", streaming_async(observer.streamed, "query"))
        patches.wrap(module.Cursor, "copy", around(observer.copied, "statement", whole=True))
        patches.wrap(module.AsyncCursor, "copy", around_async(observer.copied, "statement", whole=True))
        patches.wrap(connection, "pipeline", around(observer.synced, "", whole=False))
        patches.wrap(module.AsyncConnection, "pipeline", around_async(observer.synced, "", whole=False))
