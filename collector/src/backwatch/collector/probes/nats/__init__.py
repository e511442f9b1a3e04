"""nats-py: connections over TCP, TLS and WebSockets, core NATS and JetStream.

All of JetStream uses a client's ``publish``, ``request`` and subscriptions. Its management is recorded as requests to
the subjects that it consists of, a message to a stream as one call with its acknowledgement.
"""

import importlib
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.nats.observer import NatsCallObserver
from backwatch.collector.probes.nats.state import current_call, current_client
from backwatch.collector.probes.toolkit.hooks import async_call_hook as hook
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class NatsProbe(PatchingProbe[NatsCallObserver]):
    """nats-py: publishing, subscriptions, requests, JetStream."""

    name = "nats"
    module = "nats"
    label = "nats-py"
    service_kind = "Queues"
    indicators = frozenset(("other-key",))
    distributions = ("nats-py>=2.2",)
    facts = names.OVER_TLS | {
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
        names.STATEMENT, names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ERROR_TYPE, names.TOPOLOGY,
        names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS, names.PAYLOAD_GLOBALS, names.REDELIVERED,
        names.RESPONSE_INDICATORS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the client, its transports, and JetStream's publishing."""
        client: Any = importlib.import_module("nats.aio.client").Client
        transports: Any = importlib.import_module("nats.aio.transport")
        stream: Any = importlib.import_module("nats.js.client").JetStreamContext
        self._observer, self._patches = observer, patches = NatsCallObserver(recorder), Patches()
        for method in ("_select_next_server", "_connect_to_server"):
            patches.wrap(client, method, hook(observer.on_select_server, scope=current_client))
        open_transport = hook(observer.on_open_transport, observer.on_open_transport_end)
        for transport in (transports.TcpTransport, transports.WebSocketTransport):
            patches.wrap(transport, "connect", open_transport)
        patches.wrap(transports.WebSocketTransport, "connect_tls", open_transport)
        patches.wrap(client, "_process_connect_init", hook(None, observer.on_login_end))
        info_hook = hook if iscoroutinefunction(client._process_info) else call_hook  # by the driver's version
        patches.wrap(client, "_process_info", info_hook(observer.on_info))
        patches.wrap(client, "_process_err", hook(observer.on_server_error))
        for owner, method, headers_at, on_end in (
            (client, "publish", 3, observer.on_publish_end),
            (stream, "publish", 4, observer.on_publish_end),
            (client, "request", 4, observer.on_request_end),
        ):
            patches.wrap(owner, method, hook(partial(observer.on_publish, headers_at), on_end, scope=current_call))
        subscribe = hook(observer.on_subscribe, observer.on_subscribe_end, scope=current_call)
        patches.wrap(client, "subscribe", subscribe)
        patches.wrap(client, "_process_msg", hook(observer.on_message, observer.on_message_end))
        patches.wrap(client, "_build_message", call_hook(observer.on_build_message))
        patches.wrap(client, "_close", hook(None, observer.on_close_end))
