"""asyncpg: the class of its protocols is wrapped, through which every round trip goes, whichever object requested it.

Its C half is out of reach, but the class ``Protocol`` on top of it is an ordinary one. The driver does not reveal the
login method: it is read from the server's messages until the login has ended.
"""

import importlib
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.asyncpg.observer import AsyncpgCallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS
from backwatch.collector.probes.toolkit.hooks import async_call_hook, async_function_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class AsyncpgProbe(PatchingProbe[AsyncpgCallObserver]):
    """asyncpg: connections, pools, prepared statements, cursors, COPY, notices, notifications."""

    name = "asyncpg"
    module = "asyncpg"
    label = "asyncpg"
    service_kind = "SQL databases"
    distributions = ("asyncpg>=0.27",)
    facts = names.OVER_TLS | WIRE_FACTS | {
        names.AUTH_METHOD, names.ACCOUNT_SUPERUSER, names.NOTICES, names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS,
        names.PAYLOAD_GLOBALS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the protocol's class, and the few methods that connections need."""
        observer, patches = AsyncpgCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        protocol: Any = importlib.import_module("asyncpg.protocol").Protocol
        connection: Any = importlib.import_module("asyncpg.connection").Connection
        utils: Any = importlib.import_module("asyncpg.connect_utils")
        patches.wrap(utils, "_connect", async_function_hook(observer.on_connect, observer.on_connect_end))
        patches.wrap(utils, "_connect_addr", async_function_hook(observer.on_try, observer.on_try_end))
        patches.wrap(protocol, "__init__", call_hook(None, observer.on_protocol))
        patches.wrap(protocol, "connection_made", call_hook(None, observer.on_transport))
        for method, on_end in {
            "query": observer.on_query_end, "prepare": observer.on_prepare_end, "bind": observer.on_declare_end,
            "execute": observer.on_fetch_end, "bind_execute": observer.on_execute_end,
            "bind_execute_many": observer.on_execute_many_end, "copy_out": observer.on_copy_out_end,
            "copy_in": observer.on_copy_in_end,
        }.items():  # fmt: skip
            patches.wrap(protocol, method, async_call_hook(None, on_end))
        patches.wrap(connection, "prepare", async_call_hook(None, observer.on_prepare_for_app))
        patches.wrap(connection, "is_closed", call_hook(None, observer.on_is_closed))
        patches.wrap(
            connection, "_introspect_types", async_call_hook(observer.on_introspect, observer.on_introspect_end)
        )
        patches.wrap(connection, "_process_log_message", call_hook(observer.on_notice))
        patches.wrap(connection, "_process_notification", call_hook(observer.on_notification))
