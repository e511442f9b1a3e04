"""boto3: a client whose requests, redirects and bodies are judged by its events and its HTTP session."""

from functools import cache
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from backwatch.resource.bounded import make_bounded_context
from backwatch.resource.formats import check_value
from backwatch.resource.opening import TLS_FIX, Attachment
from backwatch.resource.systems.http import judge_length, judge_method, judge_target
from backwatch.resource.systems.http.urllib3 import make_pool_classes
from backwatch.resource.systems.s3 import S3Driver

CONTROLLED: Final = ("endpoint_url", "verify", "use_ssl", "service_name")
MAX_ATTEMPTS: Final = 3
MAX_JUDGED_BYTES: Final = 1 << 16
"""Start of an object that shows its format."""
REDIRECTS: Final = (301, 302, 307, 308)


class Boto3(S3Driver):
    """A client of S3 with a session of its own."""

    module: ClassVar = "boto3"

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a client of S3; options are those of ``boto3.client``. The bucket's name is the URL's path."""
        import boto3

        policy, url = attachment.policy, attachment.url
        attachment.check_places()
        parameters: dict[str, Any] = {
            "region_name": url.query.get("region", "us-east-1"),
            "config": _config(attachment),
        }
        if url.driver:
            host, port = url.endpoints(attachment.default_port)[0]
            name = f"[{host}]" if ":" in host else host
            parameters["endpoint_url"] = f"{url.driver}://{name}:{port}"
        if url.driver == "http" and attachment.needs_tls:
            attachment.refuse("tls", "the store's URL begins with http://", TLS_FIX)
        if url.user is not None:
            parameters |= {"aws_access_key_id": url.user, "aws_secret_access_key": url.password or ""}
        if policy.enforced:
            attachment.refuse_option(options, CONTROLLED, "tls")
        if given := options.pop("config", None):
            parameters["config"] = given.merge(parameters["config"])
        client = boto3.client("s3", **{**parameters, **options})
        _set_session(attachment, client)
        _register(attachment, client)
        return client


def _config(attachment: Attachment) -> Any:
    from botocore.config import Config

    policy = attachment.policy
    style: Any = {"s3": {"addressing_style": "path", "us_east_1_regional_endpoint": "regional"}}
    if not policy.enforced:
        return Config(**style)
    return Config(
        connect_timeout=policy.seconds("connect_timeout_s"), read_timeout=policy.seconds("read_timeout_s"),
        retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"}, proxies={},
        ignore_configured_endpoint_urls=True, **style,
    )  # fmt: skip


@cache
def _define_session() -> Any:
    from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
    from botocore.httpsession import URLLib3Session

    base: Any = URLLib3Session

    class JudgedSession(base):
        """Connects as the policy asks."""

        def __init__(self, attachment: Attachment, **options: Any) -> None:
            self._attachment = attachment
            super().__init__(**options)
            self._pool_classes_by_scheme = make_pool_classes(attachment, AWSHTTPConnectionPool, AWSHTTPSConnectionPool)
            self._manager.pool_classes_by_scheme = self._pool_classes_by_scheme

        def _get_pool_manager_kwargs(self, **extra_kwargs: Any) -> Any:
            options = super()._get_pool_manager_kwargs(**extra_kwargs)
            if self._attachment.policy.enforced and self._attachment.policy.text("tls") != "verify-full":
                options["assert_hostname"] = False
            return options

        def _get_ssl_context(self) -> Any:
            if not self._attachment.policy.enforced:
                return super()._get_ssl_context()
            return make_bounded_context(self._attachment)

        def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
            if not self._attachment.policy.enforced:
                super()._setup_ssl_cert(conn, url, verify)

    return JudgedSession


def _set_session(attachment: Attachment, client: Any) -> None:
    endpoint, config = client._endpoint, client.meta.config
    before = endpoint.http_session
    endpoint.http_session = _define_session()(
        attachment, verify=before._verify, timeout=(config.connect_timeout, config.read_timeout),
        max_pool_connections=config.max_pool_connections, client_cert=config.client_cert, proxies=config.proxies,
    )  # fmt: skip
    before.close()


def _register(attachment: Attachment, client: Any) -> None:
    """Judge each request before it is sent, each failure before it is retried, and each body before it is read."""

    def judge_request(request: Any, **_: Any) -> None:
        parts = urlsplit(request.url)
        judge_target(attachment, parts.scheme, parts.hostname or "", parts.port)
        judge_method(attachment, request.method)

    def judge_failure(response: Any, caught_exception: Any, **_: Any) -> None:
        if caught_exception is not None:
            attachment.raise_refusal(caught_exception)
        if response is not None and response[0].status_code in REDIRECTS:
            _judge_redirect(attachment, response)

    def judge_body(parsed: Any, **_: Any) -> None:
        body = parsed.get("Body")
        if attachment.policy.enforced and hasattr(body, "iter_chunks"):
            try:
                judge_length(attachment, str(parsed.get("ContentLength", "")))
            except BaseException:
                body.close()
                raise
            parsed["Body"] = _define_body(type(body)).over(attachment, body)

    client.meta.events.register_last("before-send.s3", judge_request)
    client.meta.events.register_first("needs-retry.s3", judge_failure)
    client.meta.events.register_last("after-call.s3", judge_body)


def _judge_redirect(attachment: Attachment, response: Any) -> None:
    named = response[1].get("Error", {}).get("Endpoint", "")
    location = response[0].headers.get("location", "")
    for target in (f"https://{named}" if named else "", location):
        if "//" in target:
            parts = urlsplit(target)
            judge_target(attachment, parts.scheme or "https", parts.hostname or "", parts.port)


@cache
def _define_body(base: Any) -> Any:
    from botocore.exceptions import BotoCoreError

    class JudgedBody(base):
        """A body whose format is judged by its start, and whose size by the socket."""

        @classmethod
        def over(cls, attachment: Attachment, body: Any) -> Any:
            """Return it over the stream of another body."""
            judged = cls.__new__(cls)
            judged.__dict__.update(body.__dict__)
            judged._attachment = attachment
            judged._start = b""
            return judged

        def read(self, amt: int | None = None) -> bytes:
            data = self._translate(lambda: super(JudgedBody, self).read(amt))
            if amt is None and not self._start:
                check_value(self._attachment, data, "the object")
            else:
                self._judge(data)
            return data

        def readinto(self, b: Any) -> int:
            count = self._translate(lambda: super(JudgedBody, self).readinto(b))
            self._judge(bytes(memoryview(b)[:count]))
            return count

        def _judge(self, data: bytes) -> None:
            if len(self._start) < MAX_JUDGED_BYTES and data:
                self._start += data[: MAX_JUDGED_BYTES - len(self._start)]
                check_value(self._attachment, self._start, "the object")

        def _translate(self, read: Any) -> Any:
            try:
                return read()
            except BotoCoreError as error:
                self._attachment.raise_refusal(error)
                raise

    return JudgedBody
