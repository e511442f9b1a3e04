"""botocore, and boto3 on it: S3, SQS and DynamoDB by name, every other AWS service by its operations.

There is one call per attempt, in place of urllib3's own (see ``http/claims.py``). Presigning a URL is no call; one that
the app fetches itself is a plain HTTP request.
"""

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.botocore.observer import BotocoreCallObserver
from backwatch.collector.probes.families.http.claims import CURRENT_CLAIM
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.urllib3.hooks import HOOKS


class BotocoreProbe(PatchingProbe[BotocoreCallObserver]):
    """botocore, boto3 and all else that uses it."""

    name = "botocore"
    module = "botocore"
    label = "boto3, botocore"
    service_kind = "HTTP, clouds, RPC"
    distributions = ("botocore>=1.29",)
    facts = names.OVER_TLS | {
        names.SYSTEM, names.DB_SYSTEM, names.MESSAGING_SYSTEM, names.RPC_SYSTEM, names.DB_NAMESPACE,
        names.SERVER_ADDRESS, names.SERVER_PORT, names.MESSAGING_DESTINATION, names.OPERATION, names.STATEMENT,
        names.QUERY_TEXT, names.HTTP_STATUS, names.STATUS_CODE, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION,
        names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE,
        names.REDIRECT_TARGET, names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS, names.PAYLOAD_GLOBALS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the endpoint's attempts, the client's serialisation, and the reading of bodies."""
        import botocore.awsrequest
        import botocore.client
        import botocore.endpoint
        import botocore.response

        pools = (botocore.awsrequest.AWSHTTPConnectionPool, botocore.awsrequest.AWSHTTPSConnectionPool)
        body = botocore.response.StreamingBody
        self._patches = patches = Patches()
        self._observer = observer = BotocoreCallObserver(recorder, pools, (body,))
        endpoint = botocore.endpoint.Endpoint
        patches.wrap(botocore.client.BaseClient, "_convert_to_request_dict", call_hook(observer.on_serialize))
        patches.wrap(endpoint, "_do_get_response", call_hook(observer.on_attempt, observer.on_attempt_end))
        patches.wrap(endpoint, "_send", call_hook(observer.on_send, scope=CURRENT_CLAIM))
        patches.wrap(body, "read", call_hook(observer.on_read, observer.on_read_end))
        HOOKS.attach(self, None)

    def remove(self) -> None:
        """Restore the originals."""
        super().remove()
        HOOKS.detach(self)
