"""urllib3 1.26 and 2, and with it everything that rides on it: requests, botocore, most HTTP APIs of Python.

One call per request on the wire, so a redirect that the client follows is two, each with where it was sent; and one
``connect`` per connection, so a failed handshake is seen. requests needs no probe of its own: each hop of its redirects
and each retry goes through here.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes._http_calls import Watch
from backwatch.collector.probes._patches import Patches

_Function = Callable[..., Any]


def _connect(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            link = watch.connecting(connection)
            if link is None:
                return original(connection, *args, **options)
            try:
                result = original(connection, *args, **options)
            except BaseException as error:
                watch.connect_failed(connection, link, error)
                raise
            watch.connected(connection, link)
            return result

        return connecting

    return make


def _request(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def requesting(pool: Any, *args: Any, **options: Any) -> Any:
            given = dict(zip(("conn", "method", "url", "body", "headers"), args, strict=False)) | options
            connection = given.get("conn")
            started = watch.begin(connection, given.get("method"), given.get("url"), given.get("headers"))
            if started is None:
                return original(pool, *args, **options)
            try:
                response = original(pool, *args, **options)
            except BaseException as error:
                watch.failed(connection, started, error)
                raise
            watch.answered(connection, started, response)
            return response

        return requesting

    return make


def _release(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def releasing(pool: Any, *args: Any, **options: Any) -> Any:
            watch.released(args[0] if args else options.get("conn"))
            return original(pool, *args, **options)

        return releasing

    return make


def _let_go(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def letting_go(body: Any) -> Any:
            watch.body_ends(body)
            return original(body)

        return letting_go

    return make


class Urllib3Probe(Probe):
    """urllib3, and requests on it."""

    name: ClassVar[str] = "urllib3"
    module: ClassVar[str] = "urllib3"
    distributions: ClassVar[tuple[str, ...]] = ("urllib3>=1.26",)
    facts: ClassVar[frozenset[str]] = frozenset((
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.HTTP_METHOD,
        names.HTTP_STATUS, names.TLS_ESTABLISHED, names.TLS_VERSION, names.TLS_CIPHER, names.TLS_REQUESTED,
        names.TLS_REQUESTED_EXPLICIT, names.TLS_VERIFIED, names.CERT_SHA256, names.CERT_NOT_BEFORE,
        names.CERT_NOT_AFTER, names.CERT_ISSUER, names.CERT_SUBJECT, names.PEER_ADDRESS, names.PEER_PORT,
        names.TRANSPORT, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.ERROR_TYPE, names.REDIRECT_TARGET,
    ))  # fmt: skip

    _patches: Patches | None = None
    _watch: Watch | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps urllib3's connections and pools, and the end of the standard library's response."""
        import http.client

        import urllib3.connection
        import urllib3.connectionpool

        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder, urllib3.connection.HTTPSConnection)
        patches.wrap(urllib3.connection.HTTPConnection, "connect", _connect(watch))
        patches.wrap(urllib3.connection.HTTPSConnection, "connect", _connect(watch))
        patches.wrap(urllib3.connectionpool.HTTPConnectionPool, "_make_request", _request(watch))
        patches.wrap(urllib3.connectionpool.HTTPConnectionPool, "_put_conn", _release(watch))
        patches.wrap(http.client.HTTPResponse, "_close_conn", _let_go(watch))

    def remove(self) -> None:
        """Restores them; what still waits for its body is told as far as it has come."""
        if self._patches is not None:
            self._patches.restore()
        if self._watch is not None:
            self._watch.active = False
            self._watch.settle()
