"""Wrappers around the layers of Elasticsearch's and OpenSearch's clients, sync and async."""

import contextlib
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import names
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.families.http.claims import claiming
from backwatch.collector.probes.families.search.calls import Watch
from backwatch.collector.probes.toolkit.dbapi import Make, argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.guard import never_breaks_the_host

if TYPE_CHECKING:
    from backwatch.collector.probes.toolkit.shared_hooks import SharedHooks

FACTS: Final = names.OVER_TLS | {
    names.DB_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.QUERY_TEXT,
    names.HTTP_STATUS, names.STATUS_CODE, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.SERVER_ID,
    names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE,
    names.REDIRECT_TARGET, names.TOPOLOGY, names.NOTICES, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
}  # fmt: skip
"""What both clients can tell."""

Answer = Callable[[Any], Any]
Report = Callable[[Watch, Attempt, Any, tuple[Any, ...], dict[str, Any], Any, BaseException | None], None]


class Below:
    """The HTTP libraries below, asked to hand over what is claimed as soon as the app has imported them."""

    LIBRARIES: Final[tuple[str, ...]] = ("urllib3", "aiohttp")

    def __init__(self, user: object) -> None:
        self._user = user
        self._left = list(self.LIBRARIES)
        self._hooks: list[SharedHooks[Any]] = []

    def attach(self) -> None:
        """Does so for those that are there by now."""
        for library in [one for one in self._left if one in sys.modules]:
            self._left.remove(library)
            if library == "urllib3":
                from backwatch.collector.probes.urllib3.hooks import HOOKS as URLLIB3

                hooks: SharedHooks[Any] = URLLIB3
            else:
                from backwatch.collector.probes.aiohttp.hooks import HOOKS as AIOHTTP

                hooks = AIOHTTP
            hooks.attach(self._user, None)
            self._hooks.append(hooks)

    def detach(self) -> None:
        """Lets go of them."""
        while self._hooks:
            self._hooks.pop().detach(self._user)
        self._left = list(self.LIBRARIES)


def client(watch: Watch, *, waits: bool) -> Make:
    """``perform_request`` of a client, which names its endpoint."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def naming(client: Any, *args: Any, **options: Any) -> Any:
            token = watch.naming(options.get("endpoint_id"))
            try:
                return original(client, *args, **options)
            finally:
                watch.named(token)

        async def awaiting(client: Any, *args: Any, **options: Any) -> Any:
            token = watch.naming(options.get("endpoint_id"))
            try:
                return await original(client, *args, **options)
            finally:
                watch.named(token)

        return awaiting if waits else naming

    return make


def transport(watch: Watch, answer: Answer, *, waits: bool) -> Make:
    """``perform_request`` of a transport.

    Args:
        answer: What the answer holds, of what the transport returns.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        order = list(inspect.signature(original).parameters)[1:]  # differs from version to version

        def begin(owner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            given = dict(zip(order, args, strict=False)) | options
            target = given.get("target", given.get("url"))
            return watch.begin(owner, given.get("method"), target, given.get("params"), given.get("body"))

        def asking(owner: Any, *args: Any, **options: Any) -> Any:
            operation, result = begin(owner, args, options), None
            try:
                result = original(owner, *args, **options)
                return result
            finally:
                watch.done(operation, answer(result))

        async def awaiting(owner: Any, *args: Any, **options: Any) -> Any:
            operation, result = begin(owner, args, options), None
            try:
                result = await original(owner, *args, **options)
                return result
            finally:
                watch.done(operation, answer(result))

        return awaiting if waits else asking

    return make


def node(watch: Watch, report: Report, *, waits: bool) -> Make:
    """``perform_request`` of a node: one request on the wire."""

    def begin(owner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Attempt | None:
        target = options.get("target", options.get("url")) if len(args) < 2 else args[1]
        headers = options.get("headers") or {}
        own = getattr(owner, "headers", None) or {}
        given = headers.get("authorization") or own.get("authorization")
        return watch.request(owner, argument(args, options, 0, "method"), target, given)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def requesting(owner: Any, *args: Any, **options: Any) -> Any:
            attempt = begin(owner, args, options)
            if attempt is None:
                return original(owner, *args, **options)
            try:
                with claiming(attempt):
                    result = original(owner, *args, **options)
            except BaseException as error:
                report(watch, attempt, owner, args, options, None, error)
                raise
            report(watch, attempt, owner, args, options, result, None)
            return result

        async def awaiting(owner: Any, *args: Any, **options: Any) -> Any:
            attempt = begin(owner, args, options)
            if attempt is None:
                return await original(owner, *args, **options)
            try:
                with claiming(attempt):
                    result = await original(owner, *args, **options)
            except BaseException as error:
                report(watch, attempt, owner, args, options, None, error)
                raise
            report(watch, attempt, owner, args, options, result, None)
            return result

        return awaiting if waits else requesting

    return make


@never_breaks_the_host
def _report(
    watch: Watch, attempt: Attempt, _node: Any, args: tuple[Any, ...], options: dict[str, Any], result: Any,
    error: BaseException | None,
) -> None:  # fmt: skip
    """A connection returns status, headers and body, and raises what the service says went wrong."""
    if error is None:
        status, headers, body = result
        watch.answered(attempt, args[1] if len(args) > 1 else options.get("url"), status, headers.get, body)
    elif isinstance(getattr(error, "status_code", None), int):
        watch.refused(attempt, error)
    else:
        watch.failed(attempt, error)


def connections(patches: Patches, watch: Watch, package: str, waiting: str) -> None:
    """Wraps a client of the older make: Elasticsearch's before 8, and OpenSearch's.

    Args:
        waiting: The module of a further class of connections that wait.
    """

    def wrap(module: str, owner: str, make: Make) -> None:
        with contextlib.suppress(ImportError):  # what waits needs aiohttp
            patches.wrap(getattr(import_module(module), owner, None), "perform_request", make)

    wrap(f"{package}.transport", "Transport", transport(watch, _same, waits=False))
    wrap(f"{package}._async.transport", "AsyncTransport", transport(watch, _same, waits=True))
    for name in ("Urllib3HttpConnection", "RequestsHttpConnection"):
        wrap(f"{package}.connection", name, node(watch, _report, waits=False))
    wrap(f"{package}._async.http_aiohttp", "AIOHttpConnection", node(watch, _report, waits=True))
    wrap(waiting, "AsyncHttpConnection", node(watch, _report, waits=True))


def _same(result: Any) -> Any:
    return result
