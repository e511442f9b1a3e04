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
from backwatch.collector.probes.asyncpg.calls import AsyncpgWatch
from backwatch.collector.probes.toolkit.dbapi import Make, awaiting
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _asking(watch: AsyncpgWatch) -> Make:
    """Wraps the function that tries one host after the other."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _connect(*args: Any, **kwargs: Any) -> Any:
            watch.asked(kwargs)
            try:
                return await original(*args, **kwargs)
            finally:
                watch.answered()

        return _connect

    return make


def _trying(watch: AsyncpgWatch) -> Make:
    """Wraps the function that connects to one host and logs in there."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _connect_addr(*args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            watch.trying(kwargs)
            try:
                connection = await original(*args, **kwargs)
            except BaseException as error:
                watch.connected(None, args, kwargs, start_ns, None, error)
                raise
            watch.connected(None, args, kwargs, start_ns, connection, None)
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


def _using(watch: AsyncpgWatch) -> Make:
    """Wraps ``is_closed``, which the driver asks before each use."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def is_closed(self: Any) -> Any:
            closed = original(self)
            if not closed:
                watch.seen(self)
            return closed

        return is_closed

    return make


def _notifying(watch: AsyncpgWatch) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _process_notification(self: Any, pid: Any, channel: Any, payload: Any) -> Any:
            watch.notified(self, payload)
            return original(self, pid, channel, payload)

        return _process_notification

    return make


def _introspecting(watch: AsyncpgWatch) -> Make:
    """Wraps what the driver asks for itself, about types that it has not met."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _introspect_types(self: Any, *args: Any, **kwargs: Any) -> Any:
            watch.inside(self, 1)
            try:
                return await original(self, *args, **kwargs)
            finally:
                watch.inside(self, -1)

        return _introspect_types

    return make


class AsyncpgProbe(PatchingProbe[AsyncpgWatch]):
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
        watch, patches = AsyncpgWatch(recorder), Patches()
        self._watch, self._patches = watch, patches
        protocol: Any = importlib.import_module("asyncpg.protocol").Protocol
        connection: Any = importlib.import_module("asyncpg.connection").Connection
        utils: Any = importlib.import_module("asyncpg.connect_utils")
        patches.wrap(utils, "_connect", _asking(watch))
        patches.wrap(utils, "_connect_addr", _trying(watch))
        patches.wrap(protocol, "__init__", _after(lambda self, *given: watch.begun(self, *given[:1])))
        patches.wrap(protocol, "connection_made", _after(watch.reached))
        for method, report in {
            "query": watch.queried, "prepare": watch.prepared, "bind": watch.declared, "execute": watch.fetched,
            "bind_execute": watch.executed, "bind_execute_many": watch.executed_many, "copy_out": watch.copied_out,
            "copy_in": watch.copied_in,
        }.items():  # fmt: skip
            patches.wrap(protocol, method, awaiting(report))
        patches.wrap(connection, "prepare", awaiting(watch.kept))
        patches.wrap(connection, "is_closed", _using(watch))
        patches.wrap(connection, "_introspect_types", _introspecting(watch))
        patches.wrap(connection, "_process_log_message", _before(watch.warned))
        patches.wrap(connection, "_process_notification", _notifying(watch))
