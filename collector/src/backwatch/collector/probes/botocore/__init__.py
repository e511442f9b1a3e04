"""botocore, and boto3 on it: S3, SQS and DynamoDB by name, every other AWS service by its operations.

One call per attempt, in place of urllib3's own (see ``http/claims.py``); an URL that was presigned for somebody else
is no call, and one that the app fetches itself is a plain HTTP request.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.botocore.calls import Watch
from backwatch.collector.probes.families.http.claims import claiming
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.urllib3.hooks import HOOKS

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]


def _serialise(watch: Watch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def serialising(client: Any, *args: Any, **options: Any) -> Any:
            parameters = argument(args, options, 0, "api_params")
            watch.serialised(parameters, options.get("context", args[-1] if len(args) > 2 else None))
            return original(client, *args, **options)

        return serialising

    return make


def _attempt(watch: Watch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def attempting(endpoint: Any, *args: Any, **options: Any) -> Any:
            request, model = argument(args, options, 0, "request"), argument(args, options, 1, "operation_model")
            context = argument(args, options, 2, "context")
            attempt = watch.begin(request, model, context)
            result: Any = None
            try:
                result = original(endpoint, *args, **options)
            finally:
                if attempt is not None:
                    watch.done(request, model, context, attempt, result)
            return result

        return attempting

    return make


def _send(watch: Watch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def sending(endpoint: Any, *args: Any, **options: Any) -> Any:
            with claiming(watch.sending(argument(args, options, 0, "request"))):
                return original(endpoint, *args, **options)

        return sending

    return make


def _read(watch: Watch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def reading(body: Any, *args: Any, **options: Any) -> Any:
            attempt = watch.reading(body)
            if attempt is None:
                return original(body, *args, **options)
            data: Any = None
            try:
                data = original(body, *args, **options)
            finally:
                watch.read(body, attempt, data)
            return data

        return reading

    return make


class BotocoreProbe(PatchingProbe[Watch]):
    """botocore, boto3 and whatever else rides on it."""

    name: ClassVar[str] = "botocore"
    module: ClassVar[str] = "botocore"
    distributions: ClassVar[tuple[str, ...]] = ("botocore>=1.29",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.DB_SYSTEM, names.MESSAGING_SYSTEM, names.RPC_SYSTEM, names.DB_NAMESPACE,
        names.SERVER_ADDRESS, names.SERVER_PORT, names.MESSAGING_DESTINATION, names.OPERATION, names.STATEMENT,
        names.QUERY_TEXT, names.HTTP_STATUS, names.STATUS_CODE, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION,
        names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE,
        names.REDIRECT_TARGET, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the endpoint's attempts, the client's serialisation, and the reading of bodies."""
        import botocore.awsrequest
        import botocore.client
        import botocore.endpoint
        import botocore.response

        pools = (botocore.awsrequest.AWSHTTPConnectionPool, botocore.awsrequest.AWSHTTPSConnectionPool)
        body = botocore.response.StreamingBody
        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder, pools, (body,))
        patches.wrap(botocore.client.BaseClient, "_convert_to_request_dict", _serialise(watch))
        patches.wrap(botocore.endpoint.Endpoint, "_do_get_response", _attempt(watch))
        patches.wrap(botocore.endpoint.Endpoint, "_send", _send(watch))
        patches.wrap(body, "read", _read(watch))
        HOOKS.attach(self, None)

    def remove(self) -> None:
        """Restores them."""
        super().remove()
        HOOKS.detach(self)
