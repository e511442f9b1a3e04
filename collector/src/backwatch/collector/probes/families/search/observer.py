"""One call per request to Elasticsearch or OpenSearch: retries on another node and sniffing are requests too.

Three layers have facts: the client its endpoint, the transport the request and its meaning, the node one request on the
wire, which is claimed from the HTTP library below (see ``http/claims.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import parse_qs, unquote
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.documents import search_signs
from backwatch.collector.documents.shown import join_signs, sign_facts, with_signs
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.families.search import responses
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs, name_arguments
from backwatch.collector.probes.toolkit.messages import size_of
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import search
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts, Session

MAX_TARGET_CHARS: Final = 4_096


class Operation:
    """One call of the transport: the request, and its latest attempt."""

    __slots__ = (
        "body",
        "endpoint",
        "last",
        "method",
        "name",
        "parameters",
        "path",
        "query_text",
        "signs",
        "text",
        "transport",
    )

    def __init__(self, transport: Any, method: str, target: str, parameters: Any, body: object, endpoint: str) -> None:
        self.transport = transport
        self.method = method
        self.path, _, query = target.partition("?")
        named = parameters if isinstance(parameters, Mapping) else parse_qs(query, keep_blank_values=True)
        self.parameters = [str(name) for name in named if name]
        query_text = named.get("q")
        self.query_text = words(query_text[0] if isinstance(query_text, list) else query_text, MAX_TARGET_CHARS)
        self.body = body
        self.endpoint = endpoint
        self.name = endpoint or search.to_operation(method, self.path)
        self.text = self.signs = ""
        self.last: Attempt | None = None

    def statement(self) -> str:
        """Return the canonical text, made once."""
        if not self.text:
            text = search.to_statement(self.method, self.path, self.parameters, self.body, self.query_text)
            if search_signs.may_show_signs(text):
                self.signs = join_signs(search_signs.signs_of_parameters(self.query_text, self.body))
            self.text = with_signs(text, self.signs)
        return self.text

    def sql(self) -> object:
        """Return the body's query, where it is SQL."""
        query = self.body.get("query") if isinstance(self.body, Mapping) else None
        return query if isinstance(query, str) and search.classify_path(self.path) == "sql" else None


class SearchAttempt(Attempt):
    """One request of a node, with its target."""

    __slots__ = ("signs", "target")

    signs: Facts
    target: str


class SearchCallObserver(SwitchableObserver):
    """The requests of one process, for one kind of client.

    Args:
        attach: Makes the imported HTTP libraries hand over claimed requests.
        body_of: Return the body of a transport's result.
    """

    def __init__(
        self, recorder: Recorder, system: str, attach: Callable[[], None], body_of: Callable[[Any], Any]
    ) -> None:
        self.recorder = recorder
        self.system = system
        self.attach = attach
        self.body_of = body_of
        self._servers: WeakKeyDictionary[Any, tuple[str, str]] = WeakKeyDictionary()
        self._nodes: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
        self.endpoint: ContextVar[str] = ContextVar("backwatch_search_endpoint", default="")
        self.operation: ContextVar[Operation | None] = ContextVar("backwatch_search_operation", default=None)

    @never_breaks_the_host
    def on_client_call(self, _client: Any, _args: Args, kwargs: Kwargs) -> str | None:
        """Return the endpoint of a client's method: ``search``, ``indices.create``."""
        endpoint = kwargs.get("endpoint_id")
        return words(endpoint, 60) if self.active and endpoint else None

    @never_breaks_the_host
    def on_call(self, order: Sequence[str], transport: Any, args: Args, kwargs: Kwargs) -> Operation | None:
        """Note a request that a transport is about to send, to one or several nodes.

        Args:
            order: Names of the method's parameters.
        """
        if not self.active:
            return None
        given = name_arguments(order, args, kwargs)
        method, target = words(given.get("method"), 20), words(given.get("target", given.get("url")), MAX_TARGET_CHARS)
        endpoint = self.endpoint.get()
        operation = Operation(transport, method.upper(), target, given.get("params"), given.get("body"), endpoint)
        if endpoint:
            self.endpoint.set("")  # other requests of the transport meanwhile (sniffing) have a name of their own
        return operation

    @never_breaks_the_host
    def on_call_end(self, _transport: Any, operation: Operation, result: Any, error: Error) -> None:
        """Learn from the response of a transport, and record its last attempt."""
        response = None if error is not None else self.body_of(result)
        attempt, operation.last = operation.last, None
        version = responses.server_of(operation.path, response)
        if version[0] and operation.method == "GET":
            self._servers[operation.transport] = version
        if attempt is None:
            return
        self._set_server(attempt, operation)
        if isinstance(attempt.error, str):
            code = responses.error_of(response)
            if code:
                attempt.error = code
                attempt.facts = (*attempt.facts, (names.STATUS_CODE, code))
        elif attempt.error is None:
            attempt.rows_returned, attempt.rows_affected = responses.row_counts(operation.name, response)
            attempt.facts += responses.topology(operation.path, response)
        attempt.finish()

    def _set_server(self, attempt: Attempt, operation: Operation | None) -> None:
        server = self._servers.get(operation.transport) if operation is not None else None
        if server is not None:
            attempt.update_session(server_version=server[0], server_id=server[1])

    @never_breaks_the_host
    def on_node_request(self, node: Any, args: Args, kwargs: Kwargs) -> SearchAttempt | None:
        """Note a request that a node is about to send."""
        if not self.active:
            return None
        self.attach()
        target = kwargs.get("target", kwargs.get("url")) if len(args) < 2 else args[1]
        headers = kwargs.get("headers") or {}
        own_headers = getattr(node, "headers", None) or {}
        authorization = headers.get("authorization") or own_headers.get("authorization")
        verb, path = words(argument(args, kwargs, 0, "method"), 20).upper(), words(target, MAX_TARGET_CHARS)
        operation = self.operation.get()
        if operation is None or path.partition("?")[0] != operation.path:  # sniffing, by the transport itself
            operation = Operation(None, verb, path, None, None, "")
        elif operation.last is not None:
            operation.last.finish()  # the attempt before this one
            operation.last = None
        session: dict[str, Any] = {"system": self.system}
        account = search.read_key_id(authorization)
        if account:
            session.update(account=account, auth_method="apikey")
        attempt = SearchAttempt(self.recorder, _claimed_by(verb, path), operation.name, session)
        attempt.target, attempt.signs = path, ()
        attempt.fallback_session = self._node_session(node)
        attempt.sql = operation.sql()
        if attempt.sql is None:
            attempt.statement = operation.statement()
            attempt.signs = attempt.facts = sign_facts(operation.signs)
        else:
            attempt.operation = ""
        if operation.transport is not None:
            operation.last = attempt
        return attempt

    def _node_session(self, node: Any) -> Session:
        """Return the node as the client knows it: all there is where no probe observes the HTTP library below."""
        session = self._nodes.get(node)
        if session is None:
            address = words(getattr(node, "hostname", None) or getattr(node, "host", ""), 255)
            port = getattr(node, "port", 0)
            session = Session(
                system="http", transport="", address=address.strip("[]"), port=port if isinstance(port, int) else 0
            )  # fmt: skip
            self._nodes[node] = session
        return session

    @never_breaks_the_host
    def on_node_response(self, _node: Any, attempt: SearchAttempt, result: Any, error: Error) -> None:
        """Take the response of a node of ``elastic_transport``, which returns all of them, errors too."""
        if error is not None:
            self._fail(attempt, error)
        else:
            self._learn_response(attempt, result.meta.status, result.meta.headers.get, result[1])

    @never_breaks_the_host
    def on_connection_response(self, _connection: Any, attempt: SearchAttempt, result: Any, error: Error) -> None:
        """Take the response of an older connection, which raises the errors of the service."""
        if error is None:
            status, headers, body = result
            self._learn_response(attempt, status, headers.get, body)
        elif isinstance(getattr(error, "status_code", None), int):
            self._learn_error(attempt, error)
        else:
            self._fail(attempt, error)

    def _learn_response(self, attempt: SearchAttempt, status: int, header: Callable[[str], Any], body: Any) -> None:
        attempt.facts = (*attempt.signs, *responses.head(status, header, size_of(body)))
        attempt.error = str(status) if status >= 400 else None
        attempt.facts += _redirect(attempt)
        operation = self.operation.get()
        if operation is None or operation.last is not attempt:
            attempt.facts += responses.topology_of_text(attempt.target, body)
            attempt.finish()

    def _learn_error(self, attempt: SearchAttempt, error: Any) -> None:
        """Take an error response that the client raises at once: before 8, and OpenSearch's."""
        status = error.status_code
        code = responses.error_of(error.error)
        attempt.facts = (*attempt.signs, (names.HTTP_STATUS, status), *(((names.STATUS_CODE, code),) if code else ()))
        attempt.facts += _redirect(attempt)
        attempt.error = code or str(status)
        self._finish(attempt)

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        attempt.error = root_error(error)
        self._finish(attempt)

    def _finish(self, attempt: Attempt) -> None:
        operation = self.operation.get()
        if operation is not None and operation.last is attempt:
            operation.last = None
            self._set_server(attempt, operation)
        attempt.finish()


def _redirect(attempt: Attempt) -> Facts:
    request = attempt.request
    return () if request is None or not request.target else ((names.REDIRECT_TARGET, request.target),)


def _claimed_by(method: str, target: str) -> Callable[[Any, str, str], bool]:
    path = unquote(target.partition("?")[0])

    def covers(_owner: Any, verb: str, url: str) -> bool:
        return verb == method and unquote(url.partition("?")[0]).endswith(path)

    return covers
