"""requests: a session whose relative URLs are joined to the resource's, with judged connections and bounded bodies."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar
from urllib.parse import urlsplit

from backwatch.resource.bounded import ReplyBudget, make_bounded_context
from backwatch.resource.opening import Attachment
from backwatch.resource.systems import http
from backwatch.resource.systems.http import HttpDriver
from backwatch.resource.systems.http.urllib3 import make_pool_classes

_Base: Any = object


class Requests(HttpDriver):
    """A subclass of ``requests.Session`` with adapters of its own."""

    module: ClassVar = "requests"
    rank: ClassVar = 10

    def session(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``requests.Session``. Options become its attributes (``headers``, ``auth``, ``max_redirects``)."""
        if attachment.policy.enforced:
            attachment.refuse_option(options, ("verify", "trust_env"), "tls")
        http.check_base(attachment)
        session = _define_session()(attachment)
        headers = options.pop("headers", {})
        session.headers.update(headers)
        for name, value in options.items():
            if not hasattr(session, name):
                raise TypeError(f"{attachment.name}: requests.Session has no attribute {name}")
            setattr(session, name, value)
        return session


class _ResourceAuth:
    """The login of the resource's URL, for its own origin alone."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def __call__(self, r: Any) -> Any:
        from requests.auth import _basic_auth_str

        url = self._attachment.url
        if _origin(r.url) == _origin(http.base_url(self._attachment)):
            r.headers["Authorization"] = _basic_auth_str(url.user or "", url.password or "")
        return r


class _JudgedSession(_Base):
    """A session that goes to the resource's hosts alone."""

    _adapter_class: Any

    def __init__(self, attachment: Attachment) -> None:
        super().__init__()
        self._attachment = attachment
        self._base_url = http.base_url(attachment)
        self.params = dict(attachment.url.query)
        if attachment.url.user is not None or attachment.url.password is not None:
            self.auth = _ResourceAuth(attachment)
        if attachment.policy.enforced:
            self.trust_env = False  # proxies, .netrc and authorities that the environment names
            if not self._adapter_class.unpacks_bounded:
                self.headers["Accept-Encoding"] = "gzip, deflate"
        for prefix in ("https://", "http://"):
            self.mount(prefix, self._adapter_class(attachment))

    def prepare_request(self, request: Any) -> Any:
        request.url = self._join(request.url)
        return super().prepare_request(request)

    def _join(self, url: Any) -> str:
        text = url.decode() if isinstance(url, bytes) else str(url)
        parts = urlsplit(text)
        if parts.netloc and not parts.scheme:
            return f"{self._attachment.url.scheme}:{text}"
        if parts.scheme:
            return text
        return f"{self._base_url.rstrip('/')}/{text.lstrip('/')}" if text else self._base_url

    def send(self, request: Any, **options: Any) -> Any:
        attachment = self._attachment
        parts = urlsplit(request.url)
        http.judge_target(attachment, parts.scheme, parts.hostname or "", parts.port)
        http.judge_method(attachment, request.method)
        try:
            return super().send(request, **options)
        except _errors().RequestException as error:
            attachment.raise_refusal(error)
            raise

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        super().rebuild_auth(prepared_request, response)
        if self._attachment.policy.enforced and _origin(prepared_request.url) != _origin(response.request.url):
            for name in http.unsafe_headers(list(prepared_request.headers)):
                del prepared_request.headers[name]


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or http.PORTS.get(parts.scheme)


class _JudgedAdapter(_Base):
    """Connects as the policy asks, and bounds what comes back."""

    unpacks_bounded: bool
    _response_class: Any

    def __init__(self, attachment: Attachment) -> None:
        from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

        self._attachment = attachment
        self._pool_classes = make_pool_classes(attachment, HTTPConnectionPool, HTTPSConnectionPool)
        super().__init__()

    def _tls_options(self) -> dict[str, Any]:
        if not self._attachment.policy.enforced:
            return {}
        named = {} if self._attachment.policy.text("tls") == "verify-full" else {"assert_hostname": False}
        return {"ssl_context": make_bounded_context(self._attachment), **named}

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, **self._tls_options())
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, **self._tls_options())
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if not self._attachment.policy.enforced:
            super().cert_verify(conn, url, verify, cert)
            return
        if cert:  # the client's own; the authorities are the context's
            conn.cert_file, conn.key_file = cert if isinstance(cert, tuple) else (cert, None)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if self._attachment.policy.enforced:
            options = {name: value for name, value in options.items() if name in ("cert_file", "key_file")}
        return host, options

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, verify: Any = True, cert: Any = None,
        proxies: Any = None,
    ) -> Any:  # fmt: skip
        policy = self._attachment.policy
        if policy.enforced:
            if verify is not True:
                self._attachment.refuse(
                    "tls", f"a request was made with verify={verify!r}", "Leave it out: tls and ca decide"
                )
            timeout = timeout or (policy.seconds("connect_timeout_s"), policy.seconds("read_timeout_s"))
        return super().send(request, stream, timeout, verify, cert, proxies)

    def build_response(self, req: Any, resp: Any) -> Any:
        built = super().build_response(req, resp)
        if not self._attachment.policy.enforced:
            return built
        response = self._response_class()
        response.__dict__.update(built.__dict__)
        response.limit(self._attachment, bounded=self.unpacks_bounded)
        return response


class _BoundedResponse(_Base):
    """A response whose body is counted while it is unpacked."""

    _attachment: Attachment

    def limit(self, attachment: Attachment, *, bounded: bool) -> None:
        """Judge the headers, and set the bounds of the body."""
        self._attachment = attachment
        try:
            http.judge_encodings(attachment, self.headers.get("Content-Encoding", "").split(","), bounded=bounded)
            if self.request.method != "HEAD":
                http.judge_length(attachment, self.headers.get("Content-Length"))
        except BaseException:
            self.close()
            raise

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        if self._content_consumed:
            return super().iter_content(chunk_size, decode_unicode)
        size = min(chunk_size or http.MAX_PIECE_BYTES, http.MAX_PIECE_BYTES)
        return self._count(super().iter_content(size, decode_unicode))

    def _count(self, pieces: Iterable[Any]) -> Iterator[Any]:
        budget = ReplyBudget(self._attachment, self._attachment.policy.seconds("statement_timeout_s"))
        taken = 0
        try:
            for piece in pieces:
                taken += len(piece)
                if taken > budget.max_bytes:
                    self.close()
                    budget.refuse_size(f"a body unpacks to more than {budget.max_bytes} bytes")
                yield piece
        except _errors().RequestException as error:
            self._attachment.raise_refusal(error)
            raise


@cache
def _errors() -> Any:
    from requests import exceptions

    return exceptions


@cache
def _define_session() -> Any:
    import requests
    from requests.adapters import HTTPAdapter

    adapter: dict[str, Any] = {
        "unpacks_bounded": tuple(int(part) for part in version("urllib3").split(".")[:2]) >= (2, 6),
        "_response_class": type("BoundedResponse", (_BoundedResponse, requests.Response), {}),
    }
    adapter_class = type("JudgedAdapter", (_JudgedAdapter, HTTPAdapter), adapter)
    return type("JudgedSession", (_JudgedSession, requests.Session), {"_adapter_class": adapter_class})
