"""clickhouse-connect, 0.8 to 1: sync over urllib3, async over aiohttp (before 1 in threads). One call per HTTP request.

Rows are counted as the driver parses them. Results that it does not parse (raw and Arrow) have the count of the
server's summary, where the response was held back until the statement had ended.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.clickhouse_connect.observer import ClickHouseConnectCallObserver
from backwatch.collector.probes.families.http.claims import CURRENT_CLAIM
from backwatch.collector.probes.families.search.hooks import HttpLibraries
from backwatch.collector.probes.toolkit.hooks import Exit, Scope, async_call_hook, call_hook, parameter_names
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host


def _argument(name: str) -> Callable[[Any, dict[str, Any]], object]:
    return lambda _client, given: given.get(name)


def _query_of_context(_client: Any, given: dict[str, Any]) -> object:
    return given["context"].query


def _insert_of_context(client: Any, given: dict[str, Any]) -> str:
    """Return the statement that the driver sends before the first block."""
    context = given["context"]
    return _insert_text(context.table, context.column_names, getattr(client, "_write_format", "Native"))


def _insert_of_arguments(client: Any, given: dict[str, Any]) -> str:
    return _insert_text(given.get("table"), given.get("column_names"), given.get("fmt") or client._write_format)


def _insert_text(table: object, columns: Any, form: object) -> str:
    quoted = ", ".join("`" + str(column).replace("`", "") + "`" for column in columns or ())
    return f"INSERT INTO {table} ({quoted}) FORMAT {form}" if quoted else f"INSERT INTO {table} FORMAT {form}"


class ClickHouseConnectProbe(PatchingProbe[ClickHouseConnectCallObserver]):
    """clickhouse-connect: clients, their transports, and the parser of results."""

    name = "clickhouse_connect"
    module = "clickhouse_connect"
    label = "clickhouse-connect"
    service_kind = "SQL databases"
    distributions = ("clickhouse-connect>=0.8",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.SERVER_VERSION, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.HTTP_STATUS,
        names.REDIRECT_TARGET,
    }  # fmt: skip
    _libraries: "HttpLibraries | None" = None

    def install(self, recorder: Recorder) -> None:
        """Wrap the driver's classes; those of asyncio as soon as the app imports them."""
        patches, libraries = Patches(), HttpLibraries(self)
        observer = ClickHouseConnectCallObserver(recorder, libraries.attach)
        self._patches, self._libraries, self._observer = patches, libraries, observer
        http = import_module("clickhouse_connect.driver.httpclient").HttpClient
        _wrap_client(patches, observer, http, "http_sync", "HttpSyncBackend")
        native = import_module("clickhouse_connect.driver.transform").NativeTransform
        patches.wrap(native, "parse_response", call_hook(observer.on_parse, observer.on_parse_end))

        def wrap_asyncio(module: Any) -> None:
            client = module.AsyncClient
            if self._observer is observer and observer.active and hasattr(client, "_raw_request"):
                _wrap_client(patches, observer, client, "http_async", "HttpAsyncBackend")

        import_hooks.on_import("clickhouse_connect.driver.asyncclient", never_breaks_the_host(wrap_asyncio))

    def remove(self) -> None:
        """Restore the originals."""
        super().remove()
        if self._libraries is not None:
            self._libraries.detach()


def _wrap_client(
    patches: Patches, observer: ClickHouseConnectCallObserver, client: Any, module: str, transport: str
) -> None:
    for method, sql_of in (
        ("command", _argument("cmd")), ("raw_query", _argument("query")), ("raw_stream", _argument("query")),
        ("data_insert", _insert_of_context), ("raw_insert", _insert_of_arguments),
    ):  # fmt: skip
        _wrap(patches, client, method, partial(observer.on_call, sql_of), observer.on_call_end, observer.call)
    on_read = partial(observer.on_read_call, _query_of_context)
    _wrap(patches, client, "_query_with_context", on_read, observer.on_call_end, observer.call)
    try:
        owner, method = getattr(import_module(f"clickhouse_connect.driver._backend.{module}"), transport), "request"
    except ImportError:  # older clients send by themselves
        owner, method = client, "_raw_request"
    _wrap(patches, owner, method, observer.on_request, observer.on_response, CURRENT_CLAIM)
    _wrap(patches, owner, "ping", observer.on_ping, observer.on_ping_end, CURRENT_CLAIM)


def _wrap(patches: Patches, owner: Any, method: str, on_call: Callable[..., Any], on_end: Exit, scope: Scope) -> None:
    """Wrap a method. Its ``enter`` hook gets the order of its parameters, which differs between versions."""
    original = getattr(owner, method, None)
    if original is not None:
        hook = async_call_hook if iscoroutinefunction(original) else call_hook
        patches.wrap(owner, method, hook(partial(on_call, parameter_names(original)), on_end, scope=scope))
