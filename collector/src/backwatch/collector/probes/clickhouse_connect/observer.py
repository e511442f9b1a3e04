"""The calls of clickhouse-connect: a client's methods, and the HTTP requests that each takes.

A client's method has the app's statement and the server's version, the transport below has request and response. The
transport's request is claimed from the HTTP library (see ``http/claims.py``), each retry and each redirect anew.
"""

import inspect
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import finalize

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.clickhouse_connect.requests import (
    MAX_TEXT_CHARS,
    ClientCall,
    TransportCall,
    facts_of,
    login_of,
)
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs, name_arguments
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction.clickhouse import strip_data
from backwatch.collector.runtime.guard import never_breaks_the_host

SqlOf = Callable[[Any, dict[str, Any]], object]
"""Return the statement of a client's method, by its named arguments."""

CALL_ATTRIBUTE: Final = "_backwatch_call"
"""Entry in the ``__dict__`` of a query's context: the client's call."""
_CODE: Final = re.compile(r"\bcode: (\d{1,6})\b", re.IGNORECASE)
_INSERT: Final = re.compile(r"\s*+insert\b", re.IGNORECASE)


def code_of(error: BaseException) -> str:
    """Return the server's number of an error; older versions have it in their message alone."""
    code = getattr(error, "code", None)
    if type(code) is int:
        return str(code)
    found = _CODE.search(str(error)[:2_000])
    return found.group(1) if found is not None else ""


def _summary(headers: Any) -> Mapping[str, Any]:
    text = headers.get("X-ClickHouse-Summary")
    if not isinstance(text, str) or len(text) > 10_000:
        return {}
    try:
        summary = json.loads(text)
    except ValueError:
        return {}
    return summary if isinstance(summary, dict) else {}


def _count(summary: Mapping[str, Any], name: str) -> int:
    count = str(summary.get(name, ""))[:18]
    return int(count) if count.isdecimal() else -1


class ClickHouseConnectCallObserver(SwitchableObserver):
    """The clients of one process, and their transports.

    Args:
        attach: Makes the imported HTTP libraries hand over claimed requests.
    """

    def __init__(self, recorder: Recorder, attach: Callable[[], None]) -> None:
        self.recorder = recorder
        self.attach = attach
        self.call: ContextVar[ClientCall | None] = ContextVar("backwatch_clickhouse_call", default=None)

    # --- a client's method ---

    @never_breaks_the_host
    def on_call(
        self, sql_of: SqlOf, order: Sequence[str], client: Any, args: Args, kwargs: Kwargs
    ) -> ClientCall | None:
        """Note a call whose result the driver does not parse."""
        if not self.active:
            return None
        return ClientCall(client, strip_data(sql_of(client, name_arguments(order, args, kwargs))))

    @never_breaks_the_host
    def on_read_call(
        self, sql_of: SqlOf, order: Sequence[str], client: Any, args: Args, kwargs: Kwargs
    ) -> ClientCall | None:
        """Note a call whose rows the driver parses."""
        if not self.active:
            return None
        given = name_arguments(order, args, kwargs)
        client_call = ClientCall(client, strip_data(sql_of(client, given)), reads=True)
        given["context"].__dict__[CALL_ATTRIBUTE] = client_call
        return client_call

    @never_breaks_the_host
    def on_call_end(self, _client: Any, client_call: ClientCall, _result: Any, _error: Error) -> None:
        """Wait no longer for rows that the driver does not parse."""
        if client_call.reads and not client_call.parsed and client_call.transport_call is not None:
            self._release(client_call.transport_call)

    # --- a transport's request ---

    @never_breaks_the_host
    def on_request(self, order: Sequence[str], owner: Any, args: Args, kwargs: Kwargs) -> TransportCall | None:
        """Note a request that a transport is about to send."""
        if not self.active:
            return None
        given, client_call = name_arguments(order, args, kwargs), self.call.get()
        method = words(given.get("method") or "POST", 20).upper()
        call = self._begin(owner, given, client_call, method, "")
        call.sql = client_call.sql if client_call is not None else _text(given)
        call.waits = given.get("server_wait") is not False
        return call

    @never_breaks_the_host
    def on_ping(self, order: Sequence[str], owner: Any, args: Args, kwargs: Kwargs) -> TransportCall | None:
        """Note a ping."""
        if not self.active:
            return None
        path = urlsplit(words(getattr(owner, "url", ""), 2_000)).path.rstrip("/") + "/ping"
        call = self._begin(owner, name_arguments(order, args, kwargs), None, "GET", path)
        call.operation = "ping"
        return call

    def _begin(
        self, owner: Any, given: dict[str, Any], client_call: ClientCall | None, method: str, path: str
    ) -> TransportCall:
        self.attach()
        call = TransportCall(self.recorder, owner, client_call, method, path)
        params = given.get("params") or {}
        own = getattr(owner, "params", None) or getattr(owner, "client_settings", None) or {}
        call.session_facts["namespace"] = words(params.get("database") or own.get("database"), MAX_TEXT_CHARS)
        call.session_facts.update(login_of({**(getattr(owner, "headers", None) or {}), **(given.get("headers") or {})}))
        if client_call is not None and client_call.version:
            call.session_facts["server_version"] = client_call.version
        if client_call is not None:
            client_call.transport_call = call
        return call

    @never_breaks_the_host
    def on_response(self, _owner: Any, call: TransportCall, response: Any, error: Error) -> None:
        """Take the head of a response; its body may still be on its way. After an error, there is none."""
        attempt, client_call = call.attempt, call.client_call
        if attempt is None or attempt.reported:
            return
        if error is not None:
            request = attempt.request
            status = request.status if request is not None else 0
            attempt.facts = facts_of(request, code_of(error) if status else "")
            attempt.error = error if status or request is None or request.error is None else root_error(error)
            attempt.finish()
            return
        status = int(getattr(response, "status", 0) or 0)
        attempt.facts = ((names.HTTP_STATUS, status),) if status else ()
        summary = _summary(getattr(response, "headers", None) or {})
        if _is_insert(call.sql):
            attempt.rows_affected = _count(summary, "written_rows")
        elif call.waits:
            attempt.rows_returned = _count(summary, "result_rows")
        if client_call is not None and client_call.reads:
            attempt.hold()
        attempt.finish(body_follows=True)

    @never_breaks_the_host
    def on_ping_end(self, owner: Any, call: TransportCall, _result: Any, error: Error) -> None:
        """Record a ping: the client returns no more than whether there was a response."""
        if error is not None:
            self.on_response(owner, call, None, error)
            return
        attempt = call.attempt
        if attempt is not None and not attempt.reported:
            attempt.facts = facts_of(attempt.request)
            attempt.finish()

    # --- the parser of results ---

    @never_breaks_the_host
    def on_parse(self, _source: Any, args: Args, kwargs: Kwargs) -> TransportCall | None:
        """Return the call whose first rows the driver is about to parse, on any thread."""
        context = argument(args, kwargs, 0, "context")
        client_call = getattr(context, "__dict__", {}).pop(CALL_ATTRIBUTE, None)
        if client_call is None or client_call.transport_call is None:
            return None
        client_call.parsed = True
        return client_call.transport_call

    @never_breaks_the_host
    def on_parse_end(self, _source: Any, call: TransportCall, result: Any, error: Error) -> None:
        """Count the rows that follow, which are parsed as the app reads them."""
        if error is not None:
            self._fail(call, error)
            return
        blocks = getattr(result, "_block_gen", None)
        if not inspect.isgenerator(blocks):
            self._release(call)
            return
        counted = self._count_rows(call, blocks)
        result._block_gen = counted
        finalize(counted, self._release, call)

    @never_breaks_the_host
    def _fail(self, call: TransportCall, error: BaseException) -> None:
        """Take an error of the parser: the server's error may stand among the rows."""
        attempt = call.attempt
        if attempt is not None and not attempt.reported:
            code = code_of(error)
            attempt.error = error
            attempt.facts += ((names.STATUS_CODE, code),) if code else ()
        self._release(call)

    def _count_rows(self, call: TransportCall, blocks: Generator[Any, Any, Any]) -> Generator[Any]:
        if call.attempt is not None:
            call.attempt.rows_returned = 0
        try:
            for block in blocks:
                self._add_rows(call, block)
                yield block
        except GeneratorExit:
            blocks.close()
            raise
        except BaseException as error:
            self._fail(call, error)
            raise
        finally:
            self._release(call)

    @never_breaks_the_host
    def _add_rows(self, call: TransportCall, block: Any) -> None:
        if call.attempt is not None and len(block):
            call.attempt.rows_returned += len(block[0])

    @never_breaks_the_host
    def _release(self, call: TransportCall) -> None:
        attempt = call.attempt
        if attempt is not None and call.client_call is not None and call.client_call.reads:
            call.client_call.reads = False
            attempt.release()


def _text(given: dict[str, Any]) -> object:
    """Return the statement of a request that no observed method of the client sends."""
    params, data = given.get("params") or {}, given.get("data")
    return strip_data(params.get("query") or (data if isinstance(data, (str, bytes)) else None))


def _is_insert(sql: object) -> bool:
    head = sql[:200] if isinstance(sql, (str, bytes)) else ""
    return _INSERT.match(head.decode("utf-8", "replace") if isinstance(head, bytes) else head) is not None
