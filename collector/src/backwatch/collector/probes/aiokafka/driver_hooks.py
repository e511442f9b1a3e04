"""Hooks inside aiokafka: connections, announced brokers, and the packing and unpacking of messages.

The wrapped names are the driver's own. In a version that has dropped one, its facts are unknown; nothing else changes.
"""

import importlib
from contextvars import ContextVar
from typing import Any, Final
from weakref import ReferenceType, ref

from backwatch.collector.probes.aiokafka.observer import AiokafkaCallObserver, current_poll
from backwatch.collector.probes.families.kafka.connections import ConnectionObserver
from backwatch.collector.probes.families.kafka.polls import PollObserver
from backwatch.collector.probes.families.kafka.state import KafkaConnectionState
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Error, async_call_hook, call_hook, function_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.guard import never_breaks_the_host

current_client: ContextVar[ReferenceType[Any] | None] = ContextVar("backwatch_aiokafka_client", default=None)
"""The client that is making a connection. Weak, because the connection's reading task keeps this context."""
_DECODERS: Final = ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode")


class ConnectionHooks:
    """The hooks of aiokafka's client, connection and cluster classes."""

    def __init__(self, observer: ConnectionObserver) -> None:
        self.observer = observer

    def on_client_connect(self, client: Any, _args: Any, _kwargs: Any) -> ReferenceType[Any]:
        """Return the client, for the connections that it makes: they do not know it."""
        return ref(client)

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Any, _kwargs: Any) -> KafkaConnectionState | None:
        """Handle the start of a connect."""
        client = current_client.get()
        return self.observer.on_connect(connection, client() if client is not None else None)

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, state: KafkaConnectionState, _result: Any, error: Error) -> None:
        """Record a connect."""
        if error is not None:
            self.observer.on_connect_failed(state, error)
        else:
            self.observer.on_open(state, connection._writer, None)

    @never_breaks_the_host
    def on_first_request(self, connection: Any, _args: Any, _kwargs: Any) -> None:
        """Handle the first requests: only TLS has happened by then, and a login is yet to come."""
        self.observer.on_socket(connection, connection._writer)

    @never_breaks_the_host
    def on_update_metadata_end(self, cluster: Any, token: Any, _result: Any, error: Error) -> None:
        """Handle the brokers that were announced."""
        if error is None:
            metadata = argument(token[1], token[2], 0, "metadata")
            self.observer.on_metadata(cluster, getattr(metadata, "cluster_id", None))


class _PollHooks:
    """The hooks of the classes that turn a fetched batch into messages."""

    def __init__(self, observer: PollObserver) -> None:
        self.observer = observer

    @never_breaks_the_host
    def on_take(self, portion: Any, _args: Any, _kwargs: Any) -> None:
        """Handle that the messages of one partition are unpacked next."""
        self.observer.on_topic(getattr(getattr(portion, "_topic_partition", None), "topic", None))

    @never_breaks_the_host
    def on_record(self, portion: Any, args: Any, _kwargs: Any) -> None:
        """Keep a value that a function of the app is about to deserialise."""
        if current_poll.get() is not None and getattr(portion, "_value_deserializer", None):
            self.observer.on_deserialize(args[1].value)

    @never_breaks_the_host
    def on_decode_end(self, _owner: None, token: Any, result: Any, error: Error) -> None:
        """Count a compressed batch that was unpacked."""
        if current_poll.get() is not None and error is None:
            self.observer.on_decompress(len(token[1][0]), len(result))


def wrap_connections(observer: ConnectionObserver, patches: Patches) -> None:
    """Wrap the methods by which connections are made, and what they announce."""
    hooks = ConnectionHooks(observer)
    client: Any = importlib.import_module("aiokafka.client").AIOKafkaClient
    for method in ("bootstrap", "_get_conn"):
        patches.wrap(client, method, async_call_hook(hooks.on_client_connect, scope=current_client))
    connection: Any = importlib.import_module("aiokafka.conn").AIOKafkaConnection
    patches.wrap(connection, "connect", async_call_hook(hooks.on_connect, hooks.on_connect_end))
    for method in ("_do_version_lookup", "_do_sasl_handshake"):
        patches.wrap(connection, method, async_call_hook(hooks.on_first_request))
    cluster: Any = importlib.import_module("aiokafka.cluster").ClusterMetadata
    patches.wrap(cluster, "update_metadata", call_hook(None, hooks.on_update_metadata_end))


def wrap_messages(observer: AiokafkaCallObserver, patches: Patches) -> None:
    """Wrap what turns the app's values into bytes, and a fetched batch into messages."""
    hooks = _PollHooks(observer.polls)
    producer: Any = importlib.import_module("aiokafka.producer.producer").AIOKafkaProducer
    patches.wrap(producer, "_serialize", call_hook(None, observer.on_serialize_end))
    fetcher: Any = importlib.import_module("aiokafka.consumer.fetcher")
    for method in ("getone", "getall"):
        patches.wrap(fetcher.FetchResult, method, call_hook(hooks.on_take))
    patches.wrap(fetcher.PartitionRecords, "_consumer_record", call_hook(hooks.on_record))
    # The compiled batches or, if they could not be compiled, those in Python; both look the functions up by name.
    batch: Any = importlib.import_module("aiokafka.record.default_records").DefaultRecordBatch
    module = importlib.import_module(batch.__module__)
    for name in _DECODERS:
        patches.wrap(module, name, function_hook(None, hooks.on_decode_end))
