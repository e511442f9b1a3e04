"""redis-py, sync and asyncio: standalone, cluster and Sentinel clients, pipelines, transactions, pub/sub.

Every command goes through ``AbstractConnection``, of which there is a sync and an asyncio class. Commands are seen
where they are written, replies where they are read. So there is one call per round trip for every kind of client, and
one ``connect`` per handshake, which includes TLS, HELLO and AUTH.
"""

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.redis.observer import RedisCallObserver
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE
from backwatch.collector.probes.toolkit.hooks import Function, async_call_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _copy_while_read(commands: Iterable[Any], copy: list[Any]) -> Iterator[Any]:
    """Yield the same commands as the driver asks for them: they may come from a generator."""
    for command in commands:
        copy.append(command)
        yield command


def _wrap_packing(observer: RedisCallObserver, patches: Patches, owner: type) -> None:
    def wrap_pack_command(original: Function) -> Function:
        def pack_command(connection: Any, *command: Any, **options: Any) -> Any:
            state = getattr(connection, STATE_ATTRIBUTE, None)
            if state is None or not state.single:  # ``send_command`` has seen the command that it packs
                observer.on_pack(connection, (command,))
            return original(connection, *command, **options)

        return pack_command

    def wrap_pack_commands(original: Function) -> Function:
        def pack_commands(connection: Any, commands: Any, *rest: Any, **options: Any) -> Any:
            copy: list[Any] = []
            result = original(connection, _copy_while_read(commands, copy), *rest, **options)
            observer.on_pack(connection, copy)  # afterwards: asyncio's packs each command by ``pack_command``
            return result

        return pack_commands

    patches.wrap(owner, "pack_command", wrap_pack_command)
    patches.wrap(owner, "pack_commands", wrap_pack_commands)


def _wrap_connection(observer: RedisCallObserver, patches: Patches, owner: type, *, asynchronous: bool) -> None:
    hook = async_call_hook if asynchronous else call_hook
    connect = hook(observer.on_connect, observer.on_connect_end)
    # From redis-py 6 on, every attempt of ``connect`` is one ``connect_check_health``.
    if not patches.wrap(owner, "connect_check_health", connect):
        patches.wrap(owner, "connect", connect)
    patches.wrap(owner, "send_command", hook(observer.on_command, observer.on_send_end))
    patches.wrap(owner, "send_packed_command", hook(observer.on_packed_command, observer.on_send_end))
    patches.wrap(owner, "read_response", hook(None, observer.on_read_end))
    _wrap_packing(observer, patches, owner)


class RedisProbe(PatchingProbe[RedisCallObserver]):
    """redis-py 5 to 8."""

    name = "redis"
    module = "redis"
    label = "redis"
    service_kind = "Caches and documents"
    distributions = ("redis>=5",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET, names.PAYLOAD_FORMAT,
        names.PAYLOAD_CONTAINERS,
        names.PAYLOAD_GLOBALS, names.TOPOLOGY,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the sync and the asyncio connection class."""
        # By name: valkey-py, a fork, has the same modules.
        connections = importlib.import_module(f"{self.module}.connection")
        asyncio_connections = importlib.import_module(f"{self.module}.asyncio.connection")
        tls_classes = (connections.SSLConnection, asyncio_connections.SSLConnection)
        self._patches = patches = Patches()
        self._observer = observer = RedisCallObserver(recorder, tls_classes, self.module)
        _wrap_connection(observer, patches, connections.AbstractConnection, asynchronous=False)
        _wrap_connection(observer, patches, asyncio_connections.AbstractConnection, asynchronous=True)
