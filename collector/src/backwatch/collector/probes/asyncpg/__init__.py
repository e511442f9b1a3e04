"""asyncpg: the class of its protocols is wrapped, through which every round trip goes whatever object asked for it.

Its C half is out of reach, but the class ``Protocol`` on top of it is an ordinary one. How a connection logged in the
driver keeps to itself: it is read from what the server sends until it lets the app in.
"""

import importlib
from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.asyncpg.calls import AsyncpgCallObserver
from backwatch.collector.probes.toolkit.dbapi import Make, awaiting
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _asking(observer: AsyncpgCallObserver) -> Make:
    """Wraps the function that tries one host after the other."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _connect(*args: Any, **kwargs: Any) -> Any:
            observer.asked(kwargs)
            try:
                return await original(*args, **kwargs)
            finally:
                observer.answered()

        return _connect

    return make


def _trying(observer: AsyncpgCallObserver) -> Make:
    """Wraps the function that connects to one host and logs in there."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _connect_addr(*args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            observer.trying(kwargs)
            try:
                connection = await original(*args, **kwargs)
            except BaseException as error:
                observer.connected(None, args, kwargs, start_ns, None, error)
                raise
            observer.connected(None, args, kwargs, start_ns, connection, None)
            return connection

        return _connect_addr

    return make


def _after(look: Callable[..., object]) -> Make:
    """Wraps a method so that we look at what it was given, afterwards."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            look(self, *args)
            return result

        return wrapper

    return make


def _before(look: Callable[[Any], object]) -> Make:
    """Wraps a method so that we look at its owner, first."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            look(self)
            return original(self, *args, **kwargs)

        return wrapper

    return make


def _using(observer: AsyncpgCallObserver) -> Make:
    """Wraps ``is_closed``, which the driver asks before each use."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def is_closed(self: Any) -> Any:
            closed = original(self)
            if not closed:
                observer.seen(self)
            return closed

        return is_closed

    return make


def _notifying(observer: AsyncpgCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _process_notification(self: Any, pid: Any, channel: Any, payload: Any) -> Any:
            observer.notified(self, payload)
            return original(self, pid, channel, payload)

        return _process_notification

    return make


def _introspecting(observer: AsyncpgCallObserver) -> Make:
    """Wraps what the driver asks for itself, about types that it has not met."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _introspect_types(self: Any, *args: Any, **kwargs: Any) -> Any:
            observer.inside(self, 1)
            try:
                return await original(self, *args, **kwargs)
            finally:
                observer.inside(self, -1)

        return _introspect_types

    return make


class AsyncpgProbe(PatchingProbe[AsyncpgCallObserver]):
    """asyncpg: connections, pools, prepared statements, cursors, COPY, notices, notifications."""

    name = "asyncpg"
    module = "asyncpg"
    distributions = ("asyncpg>=0.27",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.AUTH_METHOD, names.ACCOUNT_SUPERUSER, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.NOTICES,
        names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the protocol's class, and the little that must be seen of connections."""
        observer, patches = AsyncpgCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        protocol: Any = importlib.import_module("asyncpg.protocol").Protocol
        connection: Any = importlib.import_module("asyncpg.connection").Connection
        utils: Any = importlib.import_module("asyncpg.connect_utils")
        patches.wrap(utils, "_connect", _asking(observer))
        patches.wrap(utils, "_connect_addr", _trying(observer))
        patches.wrap(protocol, "__init__", _after(lambda self, *given: observer.begun(self, *given[:1])))
        patches.wrap(protocol, "connection_made", _after(observer.reached))
        for method, report in {
            "query": observer.queried, "prepare": observer.prepared, "bind": observer.declared,
            "execute": observer.fetched, "bind_execute": observer.executed, "bind_execute_many": observer.executed_many,
            "copy_out": observer.copied_out, "copy_in": observer.copied_in,
        }.items():  # fmt: skip
            patches.wrap(protocol, method, awaiting(report))
        patches.wrap(connection, "prepare", awaiting(observer.kept))
        patches.wrap(connection, "is_closed", _using(observer))
        patches.wrap(connection, "_introspect_types", _introspecting(observer))
        patches.wrap(connection, "_process_log_message", _before(observer.warned))
        patches.wrap(connection, "_process_notification", _notifying(observer))
