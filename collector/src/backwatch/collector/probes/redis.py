"""redis-py, sync and asyncio: standalone, cluster and Sentinel clients, pipelines, transactions, pub/sub.

Everything goes through one class per world, ``AbstractConnection``: commands are seen where they are written, replies
where they are read, so there is one call per round trip whatever client made it, and one ``connect`` per handshake, which
takes in TLS, HELLO and AUTH.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes._patches import Patches
from backwatch.collector.probes._redis_calls import KEY, Watch


def _noting(commands: Iterable[Any], kept: list[Any]) -> Iterator[Any]:
    """The same commands in the same order, as the driver asks for them: they may come from a generator."""
    for command in commands:
        kept.append(command)
        yield command


def _wrap_packing(watch: Watch, patches: Patches, owner: type) -> None:
    def pack_command(original: Callable[..., Any]) -> Callable[..., Any]:
        def packing(connection: Any, *command: Any, **options: Any) -> Any:
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


def _nothing_packed(connection: Any) -> bool:
    """Whether the bytes about to be written belong to a single command, which ``send_command`` has seen already."""
    state = getattr(connection, KEY, None)
    return state is None or state.packed is None


def _wrap_sync(watch: Watch, patches: Patches, owner: type) -> None:
    def connect(original: Callable[..., Any]) -> Callable[..., Any]:
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

    def send_command(original: Callable[..., Any]) -> Callable[..., Any]:
        def sending(connection: Any, *command: Any, **options: Any) -> Any:
            exchange = watch.commanding(connection, command)
            if exchange is None:
                return original(connection, *command, **options)
            try:
                result = original(connection, *command, **options)
            except BaseException as error:
                watch.send_failed(connection, exchange, error)
                raise
            watch.sent(connection, exchange)
            return result

        return sending

    def send_packed_command(original: Callable[..., Any]) -> Callable[..., Any]:
        def sending(connection: Any, *args: Any, **options: Any) -> Any:
            exchange = None if _nothing_packed(connection) else watch.sending(connection)
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

    def read_response(original: Callable[..., Any]) -> Callable[..., Any]:
        def reading(connection: Any, *args: Any, **options: Any) -> Any:
            try:
                reply = original(connection, *args, **options)
            except BaseException as error:
                watch.receive_failed(connection, error)
                raise
            watch.received(connection, reply)
            return reply

        return reading

    # From redis-py 6 on, every attempt of ``connect`` is one ``connect_check_health``.
    if not patches.wrap(owner, "connect_check_health", connect):
        patches.wrap(owner, "connect", connect)
    patches.wrap(owner, "send_command", send_command)
    patches.wrap(owner, "send_packed_command", send_packed_command)
    patches.wrap(owner, "read_response", read_response)


def _wrap_asyncio(watch: Watch, patches: Patches, owner: type) -> None:
    def connect(original: Callable[..., Any]) -> Callable[..., Any]:
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

    def send_command(original: Callable[..., Any]) -> Callable[..., Any]:
        async def sending(connection: Any, *command: Any, **options: Any) -> Any:
            exchange = watch.commanding(connection, command)
            if exchange is None:
                return await original(connection, *command, **options)
            try:
                result = await original(connection, *command, **options)
            except BaseException as error:
                watch.send_failed(connection, exchange, error)
                raise
            watch.sent(connection, exchange)
            return result

        return sending

    def send_packed_command(original: Callable[..., Any]) -> Callable[..., Any]:
        async def sending(connection: Any, *args: Any, **options: Any) -> Any:
            exchange = None if _nothing_packed(connection) else watch.sending(connection)
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

    def read_response(original: Callable[..., Any]) -> Callable[..., Any]:
        async def reading(connection: Any, *args: Any, **options: Any) -> Any:
            try:
                reply = await original(connection, *args, **options)
            except BaseException as error:
                watch.receive_failed(connection, error)
                raise
            watch.received(connection, reply)
            return reply

        return reading

    if not patches.wrap(owner, "connect_check_health", connect):
        patches.wrap(owner, "connect", connect)
    patches.wrap(owner, "send_command", send_command)
    patches.wrap(owner, "send_packed_command", send_packed_command)
    patches.wrap(owner, "read_response", read_response)


class RedisProbe(Probe):
    """redis-py 5 to 8."""

    name: ClassVar[str] = "redis"
    module: ClassVar[str] = "redis"
    distributions: ClassVar[tuple[str, ...]] = ("redis>=5",)
    facts: ClassVar[frozenset[str]] = frozenset((
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.TLS_ESTABLISHED, names.TLS_VERSION, names.TLS_CIPHER, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT,
        names.TLS_VERIFIED, names.CERT_SHA256, names.CERT_NOT_BEFORE, names.CERT_NOT_AFTER, names.CERT_ISSUER,
        names.CERT_SUBJECT, names.PEER_ADDRESS, names.PEER_PORT, names.TRANSPORT, names.ACCOUNT, names.SERVER_VERSION,
        names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED,
        names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS,
    ))  # fmt: skip

    _patches: Patches | None = None
    _watch: Watch | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps the connection classes of both worlds."""
        import redis.asyncio.connection as asyncio_connection
        import redis.connection as sync_connection

        tls = (sync_connection.SSLConnection, asyncio_connection.SSLConnection)
        self._patches, self._watch = Patches(), Watch(recorder, tls)
        _wrap_sync(self._watch, self._patches, sync_connection.AbstractConnection)
        _wrap_asyncio(self._watch, self._patches, asyncio_connection.AbstractConnection)
        for owner in (sync_connection.AbstractConnection, asyncio_connection.AbstractConnection):
            _wrap_packing(self._watch, self._patches, owner)

    def remove(self) -> None:
        """Restores them."""
        if self._watch is not None:
            self._watch.active = False
        if self._patches is not None:
            self._patches.restore()
