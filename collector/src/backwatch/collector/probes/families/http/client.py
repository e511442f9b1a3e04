"""The standard library's ``http.client``: requests are read off the connection's own buffer, once for each.

urllib3's probe observes connections of urllib3's classes, through its pools. This observer ignores them.
"""

from http import client
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.probes.families.http.observer import HttpCallObserver
from backwatch.collector.probes.families.http.session import session_of
from backwatch.collector.probes.families.http.state import Exchange, HttpConnectionState
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.tls_contexts import VERIFICATIONS, requested_mode
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import Session

MAX_HEADERS: Final = 200
MAX_CLASSES: Final = 256
_OBSERVED_ELSEWHERE: Final = frozenset({"urllib3", "botocore"})


class _NoTls:
    """Stands in for the class that a Python without TLS does not have."""


class HttpClientCallObserver(HttpCallObserver):
    """The connections of ``http.client`` that no other probe observes."""

    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder, getattr(client, "HTTPSConnection", _NoTls))
        self._elsewhere: dict[type, bool] = {}
        self._sent: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()

    def _is_observed_elsewhere(self, connection: Any) -> bool:
        kind = type(connection)
        known = self._elsewhere.get(kind)
        if known is None:
            packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
            known = remember(self._elsewhere, kind, not packages.isdisjoint(_OBSERVED_ELSEWHERE), MAX_CLASSES)
        return known

    @never_breaks_the_host
    def on_connect(self, connection: Any, args: Args, kwargs: Kwargs) -> HttpConnectionState | None:
        """Note the start of a connect; ``None`` where another probe reports it."""
        return None if self._is_observed_elsewhere(connection) else super().on_connect(connection, args, kwargs)

    @never_breaks_the_host
    def on_send(self, connection: Any, args: Args, kwargs: Kwargs) -> Exchange | None:
        """Note a request whose head is complete, and about to be sent."""
        if not self.active or self._is_observed_elsewhere(connection):
            return None
        lines = list(getattr(connection, "_buffer", ())[:MAX_HEADERS])
        method, _, rest = (lines[0] if lines else b"").decode("latin-1").partition(" ")
        login: dict[str, bytes] = {}
        for line in lines[1:]:
            if line[:14].lower() == b"authorization:":
                login["Authorization"] = line[14:].strip()
        exchange = self._begin(connection, connection, method, rest.rpartition(" ")[0], login)
        if exchange is not None and exchange.claim is None:
            exchange.keep_body(argument(args, kwargs, 0, "message_body"))
        return exchange

    @never_breaks_the_host
    def on_send_end(self, connection: Any, exchange: Exchange, _result: Any, error: Error) -> None:
        """Keep a sent request until its response; the rest of the body may follow."""
        if isinstance(error, client.ImproperConnectionState):
            return  # a misuse of the connection never came to the wire
        if error is not None:
            self.on_response(connection, exchange, None, error)
            return
        self._learn_target(connection, exchange)
        self._sent[connection] = exchange

    @never_breaks_the_host
    def on_get_response(self, connection: Any, _args: Args, _kwargs: Kwargs) -> Exchange | None:
        """Return the request whose response the app wants."""
        return self._sent.pop(connection, None)

    def flush(self) -> None:
        """Record what still waits for its body, and what for its response."""
        super().flush()
        for exchange in list(self._sent.values()):
            self.calls.record_request(exchange)

    def _session_of(self, connection: Any) -> Session:
        if not self._is_tls(connection):
            return session_of(connection, tls=False)
        mode = requested_mode(getattr(connection, "_context", None))
        return session_of(connection, tls=True, requested=(mode, VERIFICATIONS[mode]))
