"""clickhouse-connect, 0.8 to 1: sync over urllib3, async over aiohttp (before 1 in threads). One call per HTTP request.

Rows are counted as the driver takes them apart; what comes back unparsed (raw and Arrow answers) has the number that
the server's summary says, where the answer was held back until the statement had ended.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.clickhouse_connect.http_calls import ConnectWatch
from backwatch.collector.probes.families.http.claims import claiming
from backwatch.collector.probes.families.search.wraps import Below
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

_Function = Callable[..., Any]


def _arguments(original: _Function) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    order = list(inspect.signature(original).parameters)[1:]  # differs from version to version

    def given(args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(order, args, strict=False)) | options

    return given


def _asking(watch: ConnectWatch, entered: Any) -> Make:
    """Wraps a client's method."""

    def make(original: _Function) -> _Function:
        given = _arguments(original)

        def asking(client: Any, *args: Any, **options: Any) -> Any:
            question = entered(client, given(args, options))
            try:
                return original(client, *args, **options)
            finally:
                watch.asked(question)

        async def awaiting(client: Any, *args: Any, **options: Any) -> Any:
            question = entered(client, given(args, options))
            try:
                return await original(client, *args, **options)
            finally:
                watch.asked(question)

        return awaiting if inspect.iscoroutinefunction(original) else asking

    return make


def _sending(watch: ConnectWatch, *, ping: bool = False) -> Make:
    """Wraps what a transport sends with."""

    def make(original: _Function) -> _Function:
        given = _arguments(original)

        def done(request: Any, result: Any) -> None:
            if ping:
                watch.pinged(request)
            else:
                watch.answered(request, result)

        def sending(owner: Any, *args: Any, **options: Any) -> Any:
            request = watch.begin(owner, given(args, options), ping=ping)
            try:
                with claiming(request):
                    result = original(owner, *args, **options)
            except BaseException as error:
                if request is not None:
                    watch.failed(request, error)
                raise
            if request is not None:
                done(request, result)
            return result

        async def awaiting(owner: Any, *args: Any, **options: Any) -> Any:
            request = watch.begin(owner, given(args, options), ping=ping)
            try:
                with claiming(request):
                    result = await original(owner, *args, **options)
            except BaseException as error:
                if request is not None:
                    watch.failed(request, error)
                raise
            if request is not None:
                done(request, result)
            return result

        return awaiting if inspect.iscoroutinefunction(original) else sending

    return make


def _parsing(watch: ConnectWatch) -> Make:
    """Wraps what takes an answer's rows apart."""

    def make(original: _Function) -> _Function:
        def parsing(source: Any, *args: Any, **options: Any) -> Any:
            request = watch.parsing(args[0] if args else options.get("context"))
            if request is None:
                return original(source, *args, **options)
            try:
                result = original(source, *args, **options)
            except BaseException as error:
                watch.broken(request, error)
                raise
            watch.parsed(request, result)
            return result

        return parsing

    return make


def _first(name: str) -> Callable[[Any, dict[str, Any]], object]:
    return lambda _client, given: given.get(name)


def _of_context(_client: Any, given: dict[str, Any]) -> object:
    return given["context"].query


def _of_insert(client: Any, given: dict[str, Any]) -> str:
    """As the driver writes it before the first block."""
    context = given["context"]
    return _insert(context.table, context.column_names, getattr(client, "_write_format", "Native"))


def _of_raw_insert(client: Any, given: dict[str, Any]) -> str:
    return _insert(given.get("table"), given.get("column_names"), given.get("fmt") or client._write_format)


def _insert(table: object, columns: Any, form: object) -> str:
    quoted = ", ".join("`" + str(one).replace("`", "") + "`" for one in columns or ())
    return f"INSERT INTO {table} ({quoted}) FORMAT {form}" if quoted else f"INSERT INTO {table} FORMAT {form}"


class ClickHouseConnectProbe(PatchingProbe[ConnectWatch]):
    """clickhouse-connect: clients, their transports, and what they read."""

    name = "clickhouse_connect"
    module = "clickhouse_connect"
    distributions = ("clickhouse-connect>=0.8",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.SERVER_VERSION, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.HTTP_STATUS,
        names.REDIRECT_TARGET,
    }  # fmt: skip
    _below: "Below | None" = None

    def install(self, recorder: Recorder) -> None:
        """Wraps the driver's classes; those of asyncio as soon as the app imports them."""
        patches, below = Patches(), Below(self)
        watch = ConnectWatch(recorder, below.attach)
        self._patches, self._below, self._watch = patches, below, watch
        http = import_module("clickhouse_connect.driver.httpclient").HttpClient
        _wrap(patches, watch, http, "http_sync", "HttpSyncBackend")
        native = import_module("clickhouse_connect.driver.transform").NativeTransform
        patches.wrap(native, "parse_response", _parsing(watch))

        def with_asyncio(module: Any) -> None:
            client = module.AsyncClient
            if self._watch is watch and watch.active and hasattr(client, "_raw_request"):
                _wrap(patches, watch, client, "http_async", "HttpAsyncBackend")

        import_hooks.on_import("clickhouse_connect.driver.asyncclient", never_breaks_the_host(with_asyncio))

    def remove(self) -> None:
        """Puts the driver's own functions back."""
        super().remove()
        if self._below is not None:
            self._below.detach()


def _wrap(patches: Patches, watch: ConnectWatch, client: Any, module: str, transport: str) -> None:
    patches.wrap(client, "_query_with_context", _asking(watch, watch.asks(_of_context, reads=True)))
    patches.wrap(client, "command", _asking(watch, watch.asks(_first("cmd"))))
    patches.wrap(client, "raw_query", _asking(watch, watch.asks(_first("query"))))
    patches.wrap(client, "raw_stream", _asking(watch, watch.asks(_first("query"))))
    patches.wrap(client, "data_insert", _asking(watch, watch.asks(_of_insert)))
    patches.wrap(client, "raw_insert", _asking(watch, watch.asks(_of_raw_insert)))
    try:
        owner, method = getattr(import_module(f"clickhouse_connect.driver._backend.{module}"), transport), "request"
    except ImportError:  # older clients send by themselves
        owner, method = client, "_raw_request"
    patches.wrap(owner, method, _sending(watch))
    patches.wrap(owner, "ping", _sending(watch, ping=True))
