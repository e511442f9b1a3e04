"""redis-py, sync and asyncio: standalone, cluster and Sentinel clients, pipelines, transactions, pub/sub.

Everything goes through one class per world, ``AbstractConnection``: commands are seen where they are written, replies
where they are read, so there is one call per round trip whatever client made it, and one ``connect`` per handshake,
which takes in TLS, HELLO and AUTH.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.redis.calls import KEY, Watch
from backwatch.collector.probes.families.redis.state import Exchange
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]
_Begin = Callable[[Any, tuple[Any, ...]], Exchange | None]
_Sends = Callable[[Watch, _Begin], _Make]


def _noting(commands: Iterable[Any], kept: list[Any]) -> Iterator[Any]:
    """The same commands in the same order, as the driver asks for them: they may come from a generator."""
    for command in commands:
        kept.append(command)
        yield command


def _wrap_packing(watch: Watch, patches: Patches, owner: type) -> None:
    def pack_command(original: Callable[..., Any]) -> Callable[..., Any]:
        def packing(connection: Any, *command: Any, **options: Any) -> Any:
            state = getattr(connection, KEY, None)
            if state is None or not state.single:  # ``send_command`` has seen what it packs
                watch.packed(connection, (command,))
            return original(connection, *command, **options)

        return packing

    def pack_commands(original: Callable[..., Any]) -> Callable[..., Any]:
        def packing(connection: Any, commands: Any, *rest: Any, **options: Any) -> Any:
            kept: list[Any] = []
            result = original(connection, _noting(commands, kept), *rest, **options)
            watch.packed(connection, kept)  # after: asyncio's packs each one by ``pack_command``
            return result

        return packing

    patches.wrap(owner, "pack_command", pack_command)
    patches.wrap(owner, "pack_commands", pack_commands)


def _packed(watch: Watch) -> _Begin:
    """Bytes about to be written; those of a single command ``send_command`` has seen already."""

    def begin(connection: Any, args: tuple[Any, ...]) -> Exchange | None:  # noqa: ARG001  the bytes tell nothing
        state = getattr(connection, KEY, None)
        return None if state is None or state.packed is None else watch.sending(connection)

    return begin


def _connect(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            state = watch.connecting(connection)
            if state is None:
                return original(connection, *args, **options)
            try:
                result = original(connection, *args, **options)
            except BaseException as error:
                watch.connect_failed(connection, state, error)
                raise
            watch.connected(connection, state)
            return result

        return connecting

    return make


def _send(watch: Watch, begin: _Begin) -> _Make:
    def make(original: _Function) -> _Function:
        def sending(connection: Any, *args: Any, **options: Any) -> Any:
            exchange = begin(connection, args)
            if exchange is None:
                return original(connection, *args, **options)
            try:
                result = original(connection, *args, **options)
            except BaseException as error:
                watch.send_failed(connection, exchange, error)
                raise
            watch.sent(connection, exchange)
            return result

        return sending

    return make


def _read(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def reading(connection: Any, *args: Any, **options: Any) -> Any:
            try:
                reply = original(connection, *args, **options)
            except BaseException as error:
                watch.receive_failed(connection, error)
                raise
            watch.received(connection, reply)
            return reply

        return reading

    return make


def _connect_asyncio(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            state = watch.connecting(connection)
            if state is None:
                return await original(connection, *args, **options)
            try:
                result = await original(connection, *args, **options)
            except BaseException as error:
                watch.connect_failed(connection, state, error)
                raise
            watch.connected(connection, state)
            return result

        return connecting

    return make


def _send_asyncio(watch: Watch, begin: _Begin) -> _Make:
    def make(original: _Function) -> _Function:
        async def sending(connection: Any, *args: Any, **options: Any) -> Any:
            exchange = begin(connection, args)
            if exchange is None:
                return await original(connection, *args, **options)
            try:
                result = await original(connection, *args, **options)
            except BaseException as error:
                watch.send_failed(connection, exchange, error)
                raise
            watch.sent(connection, exchange)
            return result

        return sending

    return make


def _read_asyncio(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def reading(connection: Any, *args: Any, **options: Any) -> Any:
            try:
                reply = await original(connection, *args, **options)
            except BaseException as error:
                watch.receive_failed(connection, error)
                raise
            watch.received(connection, reply)
            return reply

        return reading

    return make


def _wrap(watch: Watch, patches: Patches, owner: type, *, connect: _Make, send: _Sends, read: _Make) -> None:
    # From redis-py 6 on, every attempt of ``connect`` is one ``connect_check_health``.
    if not patches.wrap(owner, "connect_check_health", connect):
        patches.wrap(owner, "connect", connect)
    patches.wrap(owner, "send_command", send(watch, watch.commanding))
    patches.wrap(owner, "send_packed_command", send(watch, _packed(watch)))
    patches.wrap(owner, "read_response", read)
    _wrap_packing(watch, patches, owner)


class RedisProbe(PatchingProbe[Watch]):
    """redis-py 5 to 8."""

    name: ClassVar[str] = "redis"
    module: ClassVar[str] = "redis"
    distributions: ClassVar[tuple[str, ...]] = ("redis>=5",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET, names.PAYLOAD_FORMAT,
        names.PAYLOAD_GLOBALS, names.TOPOLOGY,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the connection classes of both worlds."""
        # By name: valkey-py, a fork, has the same modules.
        sync_connection = importlib.import_module(f"{self.module}.connection")
        asyncio_connection = importlib.import_module(f"{self.module}.asyncio.connection")
        tls = (sync_connection.SSLConnection, asyncio_connection.SSLConnection)
        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder, tls, self.module)
        _wrap(
            watch, patches, sync_connection.AbstractConnection, connect=_connect(watch), send=_send, read=_read(watch),
        )  # fmt: skip
        _wrap(
            watch, patches, asyncio_connection.AbstractConnection,
            connect=_connect_asyncio(watch), send=_send_asyncio, read=_read_asyncio(watch),
        )  # fmt: skip
