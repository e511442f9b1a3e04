"""One call per attempt of an AWS API call: its own retries and redirects are attempts too.

botocore knows the operation, urllib3 the connection: each attempt claims its request (see ``http/claims.py``) and is
recorded when both are done. The body of an object that the app streams is counted when it has been read.
"""

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.botocore import services
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import aws
from backwatch.collector.runtime.guard import never_breaks_the_host

CONTEXT_KEY: Final = "backwatch"
"""Key of an API call's own context for its parameters, from their serialisation to the attempt."""
MIN_HEAD_BYTES: Final = 4_096
"""Bytes of a body that are enough to know its format, where the app reads it in small pieces."""
AMAZON_SUFFIXES: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu")


class ApiParameters:
    """An API call's parameters, which do not show where the app prints the context."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values


class StartedAttempt(NamedTuple):
    """An attempt with botocore's own objects."""

    attempt: Attempt
    request: Any
    model: Any
    context: object


class BotocoreCallObserver(SwitchableObserver):
    """The API calls of one process.

    Args:
        pools: botocore's own classes of connection pools, which no other library uses.
        bodies: Its classes of bodies that the app reads.
    """

    def __init__(self, recorder: Recorder, pools: tuple[type, ...], bodies: tuple[type, ...]) -> None:
        self.recorder = recorder
        self.pools = pools
        self.bodies = bodies
        self._attempts: dict[int, Attempt] = {}
        self._streams: WeakKeyDictionary[Any, Attempt] = WeakKeyDictionary()

    def _covers(self, pool: Any, _method: str, _target: str) -> bool:
        return isinstance(pool, self.pools)

    @never_breaks_the_host
    def on_serialize(self, _client: Any, args: Args, kwargs: Kwargs) -> None:
        """Keep the parameters of a call, which are final by now."""
        parameters = argument(args, kwargs, 0, "api_params")
        context = kwargs.get("context", args[-1] if len(args) > 2 else None)
        if self.active and isinstance(parameters, Mapping) and isinstance(context, dict):
            context[CONTEXT_KEY] = ApiParameters(parameters)

    @never_breaks_the_host
    def on_attempt(self, _endpoint: Any, args: Args, kwargs: Kwargs) -> StartedAttempt | None:
        """Note an attempt. It is recorded only if it is sent."""
        if not self.active:
            return None
        request: Any = argument(args, kwargs, 0, "request")
        model: Any = argument(args, kwargs, 1, "operation_model")
        context = argument(args, kwargs, 2, "context")
        kept = context.get(CONTEXT_KEY) if isinstance(context, dict) else None
        parameters: Mapping[str, Any] = kept.values if isinstance(kept, ApiParameters) else {}
        service, operation = words(model.service_model.service_name, 40), words(model.name, 60)
        region = words(context.get("client_region"), 40) if isinstance(context, dict) else ""
        attempt = Attempt(
            self.recorder,
            self._covers,
            operation,
            _session_facts(request, service, services.namespace_of(service, parameters, region)),
        )
        attempt.kind = services.span_kind(service, operation)
        attempt.facts = services.destination(service, parameters)
        parameter = aws.SQL.get((service, operation))
        if parameter is not None and parameters.get(parameter) is not None:
            attempt.sql, attempt.operation = parameters[parameter], ""
        else:
            attempt.statement = aws.to_statement(service, operation, parameters)
        self._attempts[id(request)] = attempt
        return StartedAttempt(attempt, request, model, context)

    @never_breaks_the_host
    def on_send(self, _endpoint: Any, args: Args, kwargs: Kwargs) -> Attempt | None:
        """Return the attempt whose request is about to be sent."""
        attempt = self._attempts.get(id(argument(args, kwargs, 0, "request")))
        if attempt is not None:
            attempt.start_ns = time.time_ns()
            attempt.sent = True
        return attempt

    @never_breaks_the_host
    def on_attempt_end(self, _endpoint: Any, started: StartedAttempt, result: object, _error: Error) -> None:
        """Learn from the response of an attempt, or from its error: botocore returns both."""
        attempt, request, model, context = started
        self._attempts.pop(id(request), None)
        if not attempt.sent:
            return  # a handler of the app's responded in the service's place: no call went out
        success, error = result if isinstance(result, tuple) else (None, None)
        if success is None:
            attempt.error = root_error(error) if isinstance(error, BaseException) else None
            attempt.finish()
            return
        response, parsed = success
        kept = context.get(CONTEXT_KEY) if isinstance(context, dict) else None
        parameters = kept.values if isinstance(kept, ApiParameters) else {}
        body = self._learn(
            attempt, words(model.service_model.service_name, 40), model.name, parameters, response, parsed
        )
        if body is not None:
            self._streams[body] = attempt
        attempt.finish(body_follows=bool(model.has_streaming_output or model.has_event_stream_output))

    def _learn(
        self, attempt: Attempt, service: str, operation: str, parameters: Mapping[str, Any], response: Any, parsed: Any
    ) -> Any:
        """Learn the facts of a response; return the body that the app is going to read, if there is one."""
        status = int(response.status_code)
        facts = [*attempt.facts, (names.HTTP_STATUS, status)]
        if status >= 300:
            error = parsed.get("Error") or {}
            code = words(error.get("Code"), 80)
            attempt.error = code or str(status) if status >= 400 or code else None
            facts += [(names.STATUS_CODE, code)] if code else []
            sent = attempt.request
            target = services.redirect_target(parsed, sent.target if sent is not None else "")
            facts += [(names.REDIRECT_TARGET, target)] if target else []
        else:
            attempt.rows_returned, attempt.rows_affected = services.row_counts(service, operation, parameters, parsed)
            facts += services.payload_format(service, parsed)
        attempt.facts = tuple(facts)
        return next((value for value in parsed.values() if isinstance(value, self.bodies)), None)

    @never_breaks_the_host
    def on_read(self, body: Any, _args: Args, _kwargs: Kwargs) -> Attempt | None:
        """Hold the attempt whose body the app reads."""
        attempt = self._streams.pop(body, None)
        if attempt is not None:
            attempt.hold()
        return attempt

    @never_breaks_the_host
    def on_read_end(self, body: Any, attempt: Attempt, data: object, _error: Error) -> None:
        """Inspect a piece of a body: its format shows at the beginning."""
        head = attempt.head + data if isinstance(data, bytes) else attempt.head
        if not data or len(head) >= MIN_HEAD_BYTES or attempt.request is not None:
            attempt.facts += detect_formats(head)
            attempt.head = b""
        else:
            attempt.head = head
            self._streams[body] = attempt
        attempt.release()


def _session_facts(request: Any, service: str, namespace: str) -> dict[str, Any]:
    """Return the facts that AWS adds to the session of a request."""
    url = words(request.url, 8192)
    account, method = aws.read_login(request.headers, url)
    host = words(urlsplit(url).hostname, 255)
    # A bucket's own host name is the endpoint and the bucket: reported as both, like a bucket in the path.
    address = host.removeprefix(f"{namespace}.") if service == "s3" and namespace else host
    amazon = host.endswith(AMAZON_SUFFIXES) and url.startswith("https:")
    return {
        "system": services.SYSTEMS.get(service, "aws-api"), "namespace": namespace, "address": address,
        "account": account, "auth_method": method, "requested_explicit": not amazon,
    }  # fmt: skip
