"""The standard library's HTTP client: ``urllib.request``, ``xmlrpc.client`` and whatever else rides on ``http.client``.

``http.client`` is the layer that knows: each hop of a redirect is a request of its own there, a proxy is the
connection's, and the body ends there. So urllib needs no probe of its own, as requests needs none beside urllib3's.
Connections of urllib3's classes are told by urllib3's probe alone.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.families.http.client import ClientWatch
from backwatch.collector.probes.families.http.wraps import connect, let_go
from backwatch.collector.probes.toolkit.patches import Patches

_Function = Callable[..., Any]


def _send(watch: ClientWatch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def sending(connection: Any, *args: Any, **options: Any) -> Any:
            started = watch.sending(connection)
            if started is None:
                return original(connection, *args, **options)
            try:
                result = original(connection, *args, **options)
            except BaseException as error:
                watch.not_sent(connection, started, error)
                raise
            watch.sent(connection, started)
            return result

        return sending

    return make


def _answer(watch: ClientWatch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def answering(connection: Any, *args: Any, **options: Any) -> Any:
            started = watch.awaiting(connection)
            if started is None:
                return original(connection, *args, **options)
            try:
                response = original(connection, *args, **options)
            except BaseException as error:
                watch.failed(connection, started, error)
                raise
            watch.answered(connection, started, response)
            return response

        return answering

    return make


class HttpProbe(Probe):
    """``http.client``, and urllib on it."""

    name: ClassVar[str] = "http"
    module: ClassVar[str] = "http.client"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.HTTP_METHOD,
        names.HTTP_STATUS, names.URL_SECRET, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.ERROR_TYPE, names.REDIRECT_TARGET,
    }  # fmt: skip

    _patches: Patches | None = None
    _watch: ClientWatch | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps connections, and the end of a response."""
        from http import client  # while this runs ``http`` may not have its attribute ``client`` yet

        self._patches = patches = Patches()
        self._watch = watch = ClientWatch(recorder)
        patches.wrap(client.HTTPConnection, "connect", connect(watch))
        secure = getattr(client, "HTTPSConnection", None)  # a Python without TLS has none
        if secure is not None:
            patches.wrap(secure, "connect", connect(watch))
        patches.wrap(client.HTTPConnection, "endheaders", _send(watch))
        patches.wrap(client.HTTPConnection, "getresponse", _answer(watch))
        patches.wrap(client.HTTPResponse, "_close_conn", let_go(watch))

    def remove(self) -> None:
        """Restores them; what still waits for its body is told as far as it has come."""
        if self._patches is not None:
            self._patches.restore()
        if self._watch is not None:
            self._watch.active = False
            self._watch.settle()
