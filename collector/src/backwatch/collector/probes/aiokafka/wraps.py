"""What is wrapped inside aiokafka: how connections are made, brokers announced, messages packed and unpacked.

These names are the driver's own; where a version has them no more, what they told is unknown, and nothing else changes.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final
from weakref import ref

from backwatch.collector.probes.aiokafka.calls import AiokafkaWatch
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.context_variables import reset_variable

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]

_DECODERS: Final = ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode")


def _opening(watch: AiokafkaWatch) -> _Make:
    """A client makes its connections in here, which do not know whose they are."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = watch.opener.set(ref(self))  # weakly: the connection's reading task keeps this context
            try:
                return await original(self, *args, **kwargs)
            finally:
                reset_variable(watch.opener, before)

        return wrapper

    return make


def _connecting(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            opener = watch.opener.get()
            link = watch.connecting(self, opener() if opener is not None else None)
            if link is None:
                return await original(self, *args, **kwargs)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                watch.connect_failed(link, error)
                raise
            watch.connected(link, self._writer, None)
            return result

        return connect

    return make


def _asking(watch: AiokafkaWatch) -> _Make:
    """The first things that are asked: until then nothing but TLS has happened, and a login is yet to come."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            watch.seen(self, self._writer)
            return await original(self, *args, **kwargs)

        return wrapper

    return make


def _updating(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def update_metadata(self: Any, metadata: Any) -> Any:
            result = original(self, metadata)
            watch.told_cluster(self, metadata)
            return result

        return update_metadata

    return make


def _serialising(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _serialize(self: Any, *args: Any, **kwargs: Any) -> Any:
            parts = original(self, *args, **kwargs)
            watch.serialised(parts)
            return parts

        return _serialize

    return make


def _taking(watch: AiokafkaWatch) -> _Make:
    """What takes messages out of one partition's portion, so that we know of which topic they are."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            turn = watch.turn.get()
            if turn is not None:
                turn.taking(getattr(getattr(self, "_topic_partition", None), "topic", None))
            return original(self, *args, **kwargs)

        return wrapper

    return make


def _deserialising(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _consumer_record(self: Any, tp: Any, record: Any) -> Any:
            turn = watch.turn.get()
            if turn is not None and getattr(self, "_value_deserializer", None):
                turn.sampled(record.value)
            return original(self, tp, record)

        return _consumer_record

    return make


def _decoding(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def decode(payload: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(payload, *args, **kwargs)
            turn = watch.turn.get()
            if turn is not None:
                turn.opened(len(payload), len(result))
            return result

        return decode

    return make


def wrap_connections(watch: AiokafkaWatch, patches: Patches) -> None:
    """Wraps how connections are made, and what they announce."""
    client: Any = importlib.import_module("aiokafka.client").AIOKafkaClient
    for method in ("bootstrap", "_get_conn"):
        patches.wrap(client, method, _opening(watch))
    connection: Any = importlib.import_module("aiokafka.conn").AIOKafkaConnection
    patches.wrap(connection, "connect", _connecting(watch))
    for method in ("_do_version_lookup", "_do_sasl_handshake"):
        patches.wrap(connection, method, _asking(watch))
    patches.wrap(importlib.import_module("aiokafka.cluster").ClusterMetadata, "update_metadata", _updating(watch))


def wrap_unpacking(watch: AiokafkaWatch, patches: Patches) -> None:
    """Wraps what turns the app's values into bytes, and a fetched batch into messages."""
    producer: Any = importlib.import_module("aiokafka.producer.producer").AIOKafkaProducer
    patches.wrap(producer, "_serialize", _serialising(watch))
    fetcher: Any = importlib.import_module("aiokafka.consumer.fetcher")
    for method in ("getone", "getall"):
        patches.wrap(fetcher.FetchResult, method, _taking(watch))
    patches.wrap(fetcher.PartitionRecords, "_consumer_record", _deserialising(watch))
    # The compiled batches or, where they could not be compiled, those in Python; both look the functions up by name.
    batch: Any = importlib.import_module("aiokafka.record.default_records").DefaultRecordBatch
    module = importlib.import_module(batch.__module__)
    for name in _DECODERS:
        patches.wrap(module, name, _decoding(watch))
