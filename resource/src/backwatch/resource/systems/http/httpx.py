"""httpx: clients whose network is judged, whose redirects are kept at home, and whose bodies are counted."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, ClassVar, Final

from backwatch.resource.bounded import ReplyBudget
from backwatch.resource.opening import Attachment, Session, read_tls
from backwatch.resource.systems import http
from backwatch.resource.systems.http import HttpDriver
from backwatch.resource.systems.http.httpcore import make_async_backend, make_backend
from backwatch.resource.tls import make_context

CONTROLLED: Final = ("verify", "trust_env", "transport", "mounts", "proxy", "proxies", "app", "base_url")
UNPACKED_AT_ONCE_BYTES: Final = 1024
"""zlib makes at most a thousand times as much of it."""

_Base: Any = object


class Httpx(HttpDriver):
    """Subclasses of ``httpx.Client`` and ``httpx.AsyncClient`` with transports of their own."""

    module: ClassVar = "httpx"
    rank: ClassVar = 20

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``httpx.Client``; options are its own."""
        http.check_base(attachment)
        transport = _define_transports()[0](attachment, _take_limits(options))
        return _define_clients()[0](attachment, transport=transport, **_client_options(attachment, options))

    session = client

    async def aclient(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``httpx.AsyncClient``; options are its own."""
        await asyncio.to_thread(http.check_base, attachment)
        transport = _define_transports()[1](attachment, _take_limits(options))
        return _define_clients()[1](attachment, transport=transport, **_client_options(attachment, options))

    asession = aclient


def _take_limits(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options.pop(name) for name in ("limits", "retries", "cert") if name in options}


def _client_options(attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
    import httpx

    policy, url = attachment.policy, attachment.url
    chosen: dict[str, Any] = {"base_url": http.base_url(attachment)}
    if url.query:
        chosen["params"] = dict(url.query)
    if url.user is not None or url.password is not None:
        chosen["auth"] = _define_auth()(attachment)
    if policy.enforced:
        attachment.refuse_option(options, CONTROLLED, "tls")
        attachment.refuse_option(options, ("http2",), "max_reply_bytes")  # replies of one connection are mixed
        chosen["timeout"] = httpx.Timeout(policy.seconds("read_timeout_s"), connect=policy.seconds("connect_timeout_s"))
        chosen["trust_env"] = False  # proxies, .netrc and authorities that the environment names
        chosen["headers"] = {"Accept-Encoding": "gzip, deflate"} | dict(httpx.Headers(options.pop("headers", {})))
    return {**chosen, **options}


@cache
def _define_auth() -> Any:
    import httpx

    base: Any = httpx.BasicAuth

    class ResourceAuth(base):
        """The login of the resource's URL, for its own origin alone."""

        def __init__(self, attachment: Attachment) -> None:
            super().__init__(attachment.url.user or "", attachment.url.password or "")
            self._origin = _origin(httpx.URL(http.base_url(attachment)))

        def auth_flow(self, request: Any) -> Any:
            if _origin(request.url) == self._origin:
                yield from super().auth_flow(request)
            else:
                yield request

    return ResourceAuth


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or http.PORTS.get(url.scheme)


@cache
def _define_clients() -> tuple[Any, Any]:
    import httpx

    sync_base: Any = httpx.Client
    async_base: Any = httpx.AsyncClient

    class _Judged:
        """What both clients do."""

        def __init__(self, attachment: Attachment, **options: Any) -> None:
            self._attachment = attachment
            super().__init__(**options)

        def _redirect_headers(self: Any, request: Any, url: Any, method: str) -> Any:
            headers = super()._redirect_headers(request, url, method)  # type: ignore[misc]
            if self._attachment.policy.enforced and _origin(url) != _origin(request.url):
                for name in http.unsafe_headers(list(headers)):
                    del headers[name]
            return headers

    class JudgedClient(_Judged, sync_base):
        """A client that goes to the resource's hosts alone."""

        def send(self, request: Any, **options: Any) -> Any:
            try:
                return super().send(request, **options)
            except httpx.HTTPError as error:
                self._attachment.raise_refusal(error)
                raise

    class JudgedAsyncClient(_Judged, async_base):
        """Its asynchronous twin."""

        async def send(self, request: Any, **options: Any) -> Any:
            try:
                return await super().send(request, **options)
            except httpx.HTTPError as error:
                self._attachment.raise_refusal(error)
                raise

    return JudgedClient, JudgedAsyncClient


class _Transport(_Base):
    """What both transports do."""

    def _open(self: Any, attachment: Attachment, options: dict[str, Any], pool: Any, backend: Any) -> None:
        self._attachment = attachment
        if not attachment.policy.enforced:
            super().__init__(**options)
            return
        import httpx

        context = make_context(attachment.policy)
        if cert := options.pop("cert", None):
            context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
        super().__init__(verify=context, trust_env=False, **options)
        limits = options.get("limits") or httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._pool = pool(
            ssl_context=context, network_backend=backend(attachment), max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections, keepalive_expiry=limits.keepalive_expiry,
            retries=options.get("retries", 0),
        )  # fmt: skip

    def _judge(self: Any, request: Any) -> None:
        url = request.url
        http.judge_target(self._attachment, url.scheme, url.host, url.port)
        http.judge_method(self._attachment, request.method)

    def _bound(self: Any, request: Any, response: Any) -> Any:
        if not self._attachment.policy.enforced:
            _look_at(self._attachment, response)
            return response
        headers = response.headers
        encodings = headers.get_list("content-encoding", split_commas=True)
        http.judge_encodings(self._attachment, encodings, bounded=False)
        if request.method != "HEAD":
            http.judge_length(self._attachment, headers.get("content-length"))
        return _define_response()(self._attachment, response)


class _JudgedTransport(_Transport):
    """A transport over a judged network."""

    def __init__(self, attachment: Attachment, options: dict[str, Any]) -> None:
        self._open(attachment, options, _pools()[0], make_backend)

    def handle_request(self, request: Any) -> Any:
        self._judge(request)
        response = super().handle_request(request)
        try:
            return self._bound(request, response)
        except BaseException:
            response.close()
            raise


class _JudgedAsyncTransport(_Transport):
    """Its asynchronous twin."""

    def __init__(self, attachment: Attachment, options: dict[str, Any]) -> None:
        self._open(attachment, options, _pools()[1], make_async_backend)

    async def handle_async_request(self, request: Any) -> Any:
        self._judge(request)
        response = await super().handle_async_request(request)
        try:
            return self._bound(request, response)
        except BaseException:
            await response.aclose()
            raise


@cache
def _pools() -> tuple[Any, Any]:
    import httpcore

    return httpcore.ConnectionPool, httpcore.AsyncConnectionPool


@cache
def _define_transports() -> tuple[Any, Any]:
    import httpx

    return (
        type("JudgedTransport", (_JudgedTransport, httpx.HTTPTransport), {}),
        type("JudgedAsyncTransport", (_JudgedAsyncTransport, httpx.AsyncHTTPTransport), {}),
    )


def _look_at(attachment: Attachment, response: Any) -> None:
    stream = response.extensions.get("network_stream")
    if stream is not None:
        encrypted = stream.get_extra_info("ssl_object")
        peer = stream.get_extra_info("server_addr")
        shown = read_tls(encrypted) if encrypted else Session(tls=False)
        attachment.check_session(shown, address=peer[0] if isinstance(peer, tuple) else "")


@cache
def _define_response() -> Any:
    import httpx

    base: Any = httpx.Response

    class BoundedResponse(base):
        """A response whose body is counted while it is unpacked."""

        def __init__(self, attachment: Attachment, plain: Any) -> None:
            super().__init__(plain.status_code, headers=plain.headers, stream=plain.stream, extensions=plain.extensions)
            self._attachment = attachment

        def _get_content_decoder(self) -> Any:
            if not hasattr(self, "_decoder"):
                self._decoder = _CountingDecoder(self._attachment, super()._get_content_decoder())
            return self._decoder

        def iter_raw(self, chunk_size: int | None = None) -> Iterator[bytes]:
            try:
                yield from super().iter_raw(chunk_size)
            except httpx.HTTPError as error:
                self._attachment.raise_refusal(error)
                raise

        async def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
            try:
                async for piece in super().aiter_raw(chunk_size):
                    yield piece
            except httpx.HTTPError as error:
                self._attachment.raise_refusal(error)
                raise

    return BoundedResponse


class _CountingDecoder:
    """A decoder of httpx that unpacks little by little, so that a bomb is seen before it has gone off."""

    def __init__(self, attachment: Attachment, inner: Any) -> None:
        self._inner = inner
        self._budget = ReplyBudget(attachment, 1)
        self._taken = 0

    def decode(self, data: bytes) -> bytes:
        parts = (data[at : at + UNPACKED_AT_ONCE_BYTES] for at in range(0, len(data), UNPACKED_AT_ONCE_BYTES))
        return b"".join(self._count(self._inner.decode(part)) for part in parts)

    def flush(self) -> bytes:
        return self._count(self._inner.flush())

    def _count(self, unpacked: bytes) -> bytes:
        self._taken += len(unpacked)
        if self._taken > self._budget.max_bytes:
            self._budget.refuse_size(f"a body unpacks to more than {self._budget.max_bytes} bytes")
        return unpacked
