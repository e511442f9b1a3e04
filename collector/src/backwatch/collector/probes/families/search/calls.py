"""One call per request to Elasticsearch or OpenSearch: retries on another node and sniffing are requests too.

Three layers know something each: the client its endpoint, the transport what was asked and what it means, the node one
request. What a node sends is claimed from the HTTP library below (see ``http/claims.py``).
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final
from urllib.parse import parse_qs, unquote
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.families.search import responses as answers
from backwatch.collector.probes.toolkit.messages import size_of
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import search
from backwatch.collector.runtime.context_variables import reset_variable
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

MAX_TARGET: Final = 4_096


class Operation:
    """One call of the transport: what was asked, and the request that is out for it."""

    __slots__ = (
        "asked",
        "body",
        "endpoint",
        "last",
        "method",
        "name",
        "parameters",
        "path",
        "text",
        "token",
        "transport",
    )

    def __init__(self, transport: Any, method: str, target: str, parameters: Any, body: object, endpoint: str) -> None:
        self.transport = transport
        self.method = method
        self.path, _, query = target.partition("?")
        named = parameters if isinstance(parameters, Mapping) else parse_qs(query, keep_blank_values=True)
        self.parameters = [str(one) for one in named if one]
        asked = named.get("q")
        self.asked = words(asked[0] if isinstance(asked, list) else asked, MAX_TARGET)
        self.body = body
        self.endpoint = endpoint
        self.name = endpoint or search.operation(method, self.path)
        self.text = ""
        self.last: Attempt | None = None
        self.token: Token[Operation | None] | None = None

    def statement(self) -> str:
        """Its canonical text, made once."""
        self.text = self.text or search.statement(
            self.method, self.path, self.parameters, self.body, self.asked
        )  # fmt: skip
        return self.text

    def sql(self) -> object:
        """The body's query, where it is SQL."""
        query = self.body.get("query") if isinstance(self.body, Mapping) else None
        return query if isinstance(query, str) and search.kind(self.path) == "sql" else None


class Watch:
    """The requests of one process, for one kind of client.

    Args:
        below: Makes sure that the HTTP libraries that are there hand their requests over.
    """

    def __init__(self, recorder: Recorder, system: str, below: Callable[[], None]) -> None:
        self.recorder = recorder
        self.system = system
        self.below = below
        self.active = True
        self._known: WeakKeyDictionary[Any, tuple[str, str]] = WeakKeyDictionary()
        self._nodes: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
        self._endpoint: ContextVar[str] = ContextVar("backwatch_search_endpoint", default="")
        self._operation: ContextVar[Operation | None] = ContextVar("backwatch_search_operation", default=None)

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    @never_breaks_the_host
    def naming(self, endpoint: object) -> "Token[str] | None":
        """A client's method was called: ``search``, ``indices.create``."""
        return self._endpoint.set(words(endpoint, 60)) if self.active and endpoint else None

    @never_breaks_the_host
    def named(self, token: "Token[str] | None") -> None:
        """It is done."""
        if token is not None:
            reset_variable(self._endpoint, token)

    @never_breaks_the_host
    def begin(self, transport: Any, method: object, target: object, parameters: Any, body: object) -> Operation | None:
        """A transport is about to ask something, of one node or of several in turn."""
        if not self.active:
            return None
        endpoint = self._endpoint.get()
        operation = Operation(
            transport, words(method, 20).upper(), words(target, MAX_TARGET), parameters, body, endpoint
        )  # fmt: skip
        operation.token = self._operation.set(operation)
        if endpoint:
            self._endpoint.set("")  # what else the transport asks meanwhile (sniffing) has a name of its own
        return operation

    @never_breaks_the_host
    def done(self, operation: Operation | None, answer: object) -> None:
        """It has its answer, or failed."""
        if operation is None:
            return
        if operation.token is not None:
            reset_variable(self._operation, operation.token)
        attempt, operation.last = operation.last, None
        version = answers.who(operation.path, answer)
        if version[0] and operation.method == "GET":
            self._known[operation.transport] = version
        if attempt is None:
            return
        self._name(attempt, operation)
        if isinstance(attempt.error, str):
            code = answers.error_of(answer)
            if code:
                attempt.error = code
                attempt.facts = (*attempt.facts, (names.STATUS_CODE, code))
        elif attempt.error is None:
            attempt.rows_returned, attempt.rows_affected = answers.rows(operation.name, answer)
            attempt.facts += answers.topology(operation.path, answer)
        attempt.finish()

    def _name(self, attempt: Attempt, operation: Operation | None) -> None:
        known = self._known.get(operation.transport) if operation is not None else None
        if known is not None:
            attempt.name(server_version=known[0], server_id=known[1])

    @never_breaks_the_host
    def request(self, node: Any, method: object, target: object, authorization: object) -> Attempt | None:
        """A node is about to be asked."""
        if not self.active:
            return None
        self.below()
        verb, path = words(method, 20).upper(), words(target, MAX_TARGET)
        operation = self._operation.get()
        if operation is None or path.partition("?")[0] != operation.path:  # sniffing, by the transport itself
            operation = Operation(None, verb, path, None, None, "")
        elif operation.last is not None:
            operation.last.finish()  # the attempt before this one
            operation.last = None
        session: dict[str, Any] = {"system": self.system}
        account = search.key_id(authorization)
        if account:
            session.update(account=account, auth_method="apikey")
        attempt = Attempt(self.recorder, _owns(verb, path), operation.name, session)
        attempt.unseen = self._unseen(node)
        attempt.sql = operation.sql()
        if attempt.sql is None:
            attempt.statement = operation.statement()
        else:
            attempt.operation = ""
        if operation.transport is not None:
            operation.last = attempt
        return attempt

    def _unseen(self, node: Any) -> Session:
        """The node as the client knows it: all there is where no probe sees the HTTP library that it uses."""
        known = self._nodes.get(node)
        if known is None:
            address = words(getattr(node, "hostname", None) or getattr(node, "host", ""), 255)
            port = getattr(node, "port", 0)
            made = Session(
                system="http", transport="", address=address.strip("[]"), port=port if isinstance(port, int) else 0
            )  # fmt: skip
            known = self._nodes[node] = made
        return known

    @never_breaks_the_host
    def answered(self, attempt: Attempt, target: object, status: int, header: Callable[[str], Any], body: Any) -> None:
        """It answered, be it with an error."""
        attempt.facts = tuple(answers.head(status, header, size_of(body)))
        attempt.error = str(status) if status >= 400 else None
        attempt.facts += _redirected(attempt)
        operation = self._operation.get()
        if operation is None or operation.last is not attempt:
            attempt.facts += answers.topology_of_text(words(target, MAX_TARGET), body)
            attempt.finish()

    @never_breaks_the_host
    def refused(self, attempt: Attempt, error: Any) -> None:
        """It answered with an error that the client raises at once: before 8, and OpenSearch's."""
        status = error.status_code
        code = answers.error_of(error.error)
        attempt.facts = ((names.HTTP_STATUS, status), *(((names.STATUS_CODE, code),) if code else ()))
        attempt.facts += _redirected(attempt)
        attempt.error = code or str(status)
        self._finish(attempt)

    @never_breaks_the_host
    def failed(self, attempt: Attempt, error: BaseException) -> None:
        """It could not be asked, or did not answer."""
        attempt.error = root_error(error)
        self._finish(attempt)

    def _finish(self, attempt: Attempt) -> None:
        operation = self._operation.get()
        if operation is not None and operation.last is attempt:
            operation.last = None
            self._name(attempt, operation)
        attempt.finish()


def _redirected(attempt: Attempt) -> answers.Facts:
    carried = attempt.carried_by
    return () if carried is None or not carried.target else ((names.REDIRECT_TARGET, carried.target),)


def _owns(method: str, target: str) -> Callable[[Any, str, str], bool]:
    path = unquote(target.partition("?")[0])

    def owns(_owner: Any, verb: str, url: str) -> bool:
        return verb == method and unquote(url.partition("?")[0]).endswith(path)

    return owns
