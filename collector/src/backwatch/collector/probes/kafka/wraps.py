"""What is wrapped inside kafka-python: how connections are made, brokers announced, and fetched batches unpacked.

These names are the driver's own; where a version has them no more, what they told is unknown, and nothing else changes.
"""

import importlib
from collections.abc import Callable
from typing import Any

from backwatch.collector.probes.families.kafka.observer import KEY
from backwatch.collector.probes.kafka.calls import KafkaWatch
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.patches import Patches

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]


def _connecting(watch: KafkaWatch) -> _Make:
    """3.x: a coroutine of the connection manager makes a connection, and tells a failure to its future only."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            connection = argument(args, kwargs, 1, "conn")
            link = watch.connecting(connection, self)
            result = await original(self, *args, **kwargs)
            if link is not None:
                if connection.connected:
                    socket = getattr(connection.transport, "_sock", None)
                    watch.connected(link, socket, getattr(connection, "broker_version", None))
                elif self.closed:
                    link.start_ns = 0  # by the app, before it stood
                else:
                    watch.connect_failed(link, getattr(connection.init_future, "exception", None))
            return result

        return _connect

    return make


def _made(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def connection_made(self: Any, *args: Any, **kwargs: Any) -> Any:
            transport = argument(args, kwargs, 0, "transport")
            watch.seen(self, getattr(transport, "_sock", None))
            return original(self, *args, **kwargs)

        return connection_made

    return make


def _opening(watch: KafkaWatch) -> _Make:
    """2.x: the client makes its connections in here, which do not know whose they are."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            before, watch.threads.opener = watch.threads.opener, self
            try:
                return original(self, *args, **kwargs)
            finally:
                watch.threads.opener = before

        return wrapper

    return make


def _stepping(watch: KafkaWatch) -> _Make:
    """2.x: a connection is made step by step, one for each call of its ``connect``."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = None if self.connected() else watch.connecting(self, watch.threads.opener)
            try:
                state = original(self, *args, **kwargs)
            except BaseException as error:
                if link is not None:
                    watch.connect_failed(link, error, self._sock)
                raise
            if link is not None and self.connected():
                version = getattr(self, "_api_version", None) or self.config.get("api_version")
                watch.connected(link, self._sock, version)
            elif link is not None and self.disconnected():
                link.start_ns = 0  # nothing was tried, or ``close`` has told what became of it
            return state

        return connect

    return make


def _closing(watch: KafkaWatch) -> _Make:
    """2.x: what fails while it is being made ends here, the socket still open."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def close(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = vars(self).get(KEY)
            if link is not None and link.start_ns:
                error = argument(args, kwargs, 0, "error")
                if error is not None:
                    watch.connect_failed(link, error, self._sock)
                link.start_ns = 0
            return original(self, *args, **kwargs)

        return close

    return make


def _updating(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def update_metadata(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            watch.announced(self)
            return result

        return update_metadata

    return make


def _taking(watch: KafkaWatch, topic_of: Callable[[Any, tuple[Any, ...]], Any]) -> _Make:
    """Wraps what unpacks the messages of one partition, so that we know of which topic they are."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            if watch.threads.turn is not None:
                watch.taking(topic_of(self, args))
            return original(self, *args, **kwargs)

        return wrapper

    return make


def _unpacking(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _maybe_uncompress(self: Any, *args: Any, **kwargs: Any) -> Any:
            if watch.threads.turn is None or self._decompressed:
                return original(self, *args, **kwargs)
            packed = self._buffer
            before = len(packed) - self._pos
            result = original(self, *args, **kwargs)
            if self._buffer is not packed:
                watch.unpacked(before, len(self._buffer))
            return result

        return _maybe_uncompress

    return make


def _deserialising(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _deserialize(self: Any, *args: Any, **kwargs: Any) -> Any:
            if watch.threads.turn is not None and args and args[0] is not None:
                watch.sampled(args[-1])
            return original(self, *args, **kwargs)

        return _deserialize

    return make


def _topic_of_portion(portion: Any, _args: tuple[Any, ...]) -> Any:
    partition = getattr(portion, "topic_partition", None)
    return getattr(partition, "topic", None)


def _topic_of_fetch(_fetcher: Any, args: tuple[Any, ...]) -> Any:
    return _topic_of_portion(args[0], ()) if args else None


def wrap_connections(watch: KafkaWatch, patches: Patches) -> None:
    """Wraps how connections are made, of whichever generation the driver is."""
    patches.wrap(importlib.import_module("kafka.cluster").ClusterMetadata, "update_metadata", _updating(watch))
    try:
        connections: Any = importlib.import_module("kafka.net.connection")
    except ImportError:
        client: Any = importlib.import_module("kafka.client_async").KafkaClient
        connection: Any = importlib.import_module("kafka.conn").BrokerConnection
        for method in ("_maybe_connect", "_init_connect"):
            patches.wrap(client, method, _opening(watch))
        patches.wrap(connection, "connect", _stepping(watch))
        patches.wrap(connection, "close", _closing(watch))
    else:
        manager: Any = importlib.import_module("kafka.net.manager").KafkaConnectionManager
        patches.wrap(manager, "_connect", _connecting(watch))
        patches.wrap(connections.KafkaConnection, "connection_made", _made(watch))


def wrap_unpacking(watch: KafkaWatch, patches: Patches) -> None:
    """Wraps what turns a fetched batch into messages."""
    fetcher: Any = importlib.import_module("kafka.consumer.fetcher").Fetcher
    portion = getattr(fetcher, "PartitionRecords", None)
    if hasattr(portion, "_unpack_records"):
        patches.wrap(portion, "take", _taking(watch, _topic_of_portion))
        patches.wrap(portion, "_deserialize", _deserialising(watch))
    else:
        patches.wrap(fetcher, "_parse_fetched_data", _taking(watch, _topic_of_fetch))
        patches.wrap(fetcher, "_deserialize", _deserialising(watch))
    batch: Any = importlib.import_module("kafka.record.default_records").DefaultRecordBatch
    patches.wrap(batch, "_maybe_uncompress", _unpacking(watch))
