"""One call per attempt of an AWS API call: its own retries and redirects are attempts too.

botocore knows the operation, urllib3 the connection: each attempt claims its request (see ``http/claims.py``) and is
told when both are done. The body of an object that the app streams is counted when it has been read.
"""

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.botocore import services
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import aws
from backwatch.collector.runtime.guard import never_breaks_the_host

KEY: Final = "backwatch"
"""Where an API call's own context keeps its parameters, from their serialisation to the attempt."""
MIN_HEAD: Final = 4_096
"""Bytes of a body that are enough to know its format, where the app reads it in small pieces."""
AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu")


class Parameters:
    """An API call's parameters, kept out of sight of whoever prints the context."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values


class Watch:
    """The API calls of one process.

    Args:
        pools: botocore's own classes of connection pools, which nobody else uses.
        bodies: Its classes of bodies that the app reads.
    """

    def __init__(self, recorder: Recorder, pools: tuple[type, ...], bodies: tuple[type, ...]) -> None:
        self.recorder = recorder
        self.pools = pools
        self.bodies = bodies
        self.active = True
        self._attempts: dict[int, Attempt] = {}
        self._streams: WeakKeyDictionary[Any, Attempt] = WeakKeyDictionary()

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    def _owns(self, pool: Any, _method: str, _target: str) -> bool:
        return isinstance(pool, self.pools)

    @never_breaks_the_host
    def serialised(self, parameters: object, context: object) -> None:
        """A call's parameters are final."""
        if self.active and isinstance(parameters, Mapping) and isinstance(context, dict):
            context[KEY] = Parameters(parameters)

    @never_breaks_the_host
    def begin(self, request: Any, model: Any, context: object) -> Attempt | None:
        """An attempt begins: nothing is told of it unless it is sent."""
        if not self.active:
            return None
        kept = context.get(KEY) if isinstance(context, dict) else None
        parameters: Mapping[str, Any] = kept.values if isinstance(kept, Parameters) else {}
        service, operation = words(model.service_model.service_name, 40), words(model.name, 60)
        region = words(context.get("client_region"), 40) if isinstance(context, dict) else ""
        attempt = Attempt(
            self.recorder,
            self._owns,
            operation,
            _session(request, service, services.namespace(service, parameters, region)),
        )
        attempt.kind = services.kind(service, operation)
        attempt.facts = services.destination(service, parameters)
        parameter = aws.SQL.get((service, operation))
        if parameter is not None and parameters.get(parameter) is not None:
            attempt.sql, attempt.operation = parameters[parameter], ""
        else:
            attempt.statement = aws.statement(service, operation, parameters)
        self._attempts[id(request)] = attempt
        return attempt

    def sending(self, request: Any) -> Attempt | None:
        """The attempt whose request is about to be sent."""
        attempt = self._attempts.get(id(request))
        if attempt is not None:
            attempt.start_ns = time.time_ns()
            attempt.sent = True
        return attempt

    @never_breaks_the_host
    def done(self, request: Any, model: Any, context: object, attempt: Attempt, result: object) -> None:
        """An attempt has its answer, or failed: botocore returns both."""
        self._attempts.pop(id(request), None)
        if not attempt.sent:
            return  # somebody answered in the service's place: no call went out
        success, error = result if isinstance(result, tuple) else (None, None)
        if success is None:
            attempt.error = root_error(error) if isinstance(error, BaseException) else None
            attempt.finish()
            return
        response, answer = success
        kept = context.get(KEY) if isinstance(context, dict) else None
        parameters = kept.values if isinstance(kept, Parameters) else {}
        body = self._learn(
            attempt, words(model.service_model.service_name, 40), model.name, parameters, response, answer
        )
        if body is not None:
            self._streams[body] = attempt
        attempt.finish(body_follows=bool(model.has_streaming_output or model.has_event_stream_output))

    def _learn(
        self, attempt: Attempt, service: str, operation: str, parameters: Mapping[str, Any], response: Any, answer: Any
    ) -> Any:
        """The facts of an answer; returns the body that the app is going to read, if there is one."""
        status = int(response.status_code)
        facts = [*attempt.facts, (names.HTTP_STATUS, status)]
        if status >= 300:
            error = answer.get("Error") or {}
            code = words(error.get("Code"), 80)
            attempt.error = code or str(status) if status >= 400 or code else None
            facts += [(names.STATUS_CODE, code)] if code else []
            carried = attempt.carried_by
            target = services.redirected(answer, carried.target if carried is not None else "")
            facts += [(names.REDIRECT_TARGET, target)] if target else []
        else:
            attempt.rows_returned, attempt.rows_affected = services.rows(service, operation, parameters, answer)
            facts += services.payload(service, answer)
        attempt.facts = tuple(facts)
        return next((one for one in answer.values() if isinstance(one, self.bodies)), None)

    @never_breaks_the_host
    def reading(self, body: Any) -> Attempt | None:
        """The app begins to read an object."""
        attempt = self._streams.pop(body, None)
        if attempt is not None:
            attempt.hold()
        return attempt

    @never_breaks_the_host
    def read(self, body: Any, attempt: Attempt, data: object) -> None:
        """Some of it was read: what format it is in shows at its beginning."""
        head = attempt.head + data if isinstance(data, bytes) else attempt.head
        if not data or len(head) >= MIN_HEAD or attempt.carried_by is not None:
            attempt.facts += detect_formats(head)
            attempt.head = b""
        else:
            attempt.head = head
            self._streams[body] = attempt
        attempt.release()


def _session(request: Any, service: str, namespace: str) -> dict[str, Any]:
    """What AWS calls the session that this request goes over."""
    url = words(request.url, 8192)
    account, method = aws.login(request.headers, url)
    host = words(urlsplit(url).hostname, 255)
    # A bucket's own host name is the endpoint and the bucket: told as both, like a bucket in the path.
    address = host.removeprefix(f"{namespace}.") if service == "s3" and namespace else host
    amazon = host.endswith(AMAZON) and url.startswith("https:")
    return {
        "system": services.SYSTEMS.get(service, "aws-api"), "namespace": namespace, "address": address,
        "account": account, "auth_method": method, "requested_explicit": not amazon,
    }  # fmt: skip
