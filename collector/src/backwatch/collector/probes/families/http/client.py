"""The standard library's ``http.client``: what goes out is read off the connection's own buffer, once per request.

A class of urllib3's is urllib3's business, whose probe sees its pools: such a connection passes here unseen.
"""

from http import client
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.probes.families.http.calls import Watch
from backwatch.collector.probes.families.http.session import session_of
from backwatch.collector.probes.families.http.state import Exchange, Link, Started
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

MAX_HEADERS: Final = 200
_OTHERS: Final = frozenset({"urllib3", "botocore"})


class _NoTls:
    """In place of the class that a Python without TLS does not have."""


def _verification(context: Any) -> tuple[str, str]:
    """What was asked for, and what a handshake under this context has proved."""
    if context is None or context.verify_mode == 0:
        return "require", "none"
    return ("verify-full", "full") if context.check_hostname else ("verify-ca", "chain")


class ClientWatch(Watch):
    """The connections of ``http.client`` that nobody else watches."""

    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder, getattr(client, "HTTPSConnection", _NoTls))
        self._foreign: dict[type, bool] = {}
        self._sent: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()

    def _is_foreign(self, connection: Any) -> bool:
        kind = type(connection)
        known = self._foreign.get(kind)
        if known is None:
            if len(self._foreign) > 256:
                self._foreign.clear()
            packages = {one.__module__.partition(".")[0] for one in kind.__mro__}
            known = self._foreign[kind] = not packages.isdisjoint(_OTHERS)
        return known

    @never_breaks_the_host
    def connecting(self, connection: Any) -> Link | None:
        """A connection is about to be made; ``None`` where it is not ours to tell."""
        return None if self._is_foreign(connection) else super().connecting(connection)

    @never_breaks_the_host
    def sending(self, connection: Any) -> Started | None:
        """The head of a request is complete, and about to be sent."""
        if not self.active or self._is_foreign(connection):
            return None
        lines = list(getattr(connection, "_buffer", ())[:MAX_HEADERS])
        method, _, rest = (lines[0] if lines else b"").decode("latin-1").partition(" ")
        login: dict[str, bytes] = {}
        for line in lines[1:]:
            if line[:14].lower() == b"authorization:":
                login["Authorization"] = line[14:].strip()
        return self.begin(connection, connection, method, rest.rpartition(" ")[0], login)

    @never_breaks_the_host
    def not_sent(self, connection: Any, started: Started, error: BaseException) -> None:
        """It could not be sent; a misuse of the connection never came to the wire."""
        if isinstance(error, client.ImproperConnectionState):
            self._current.reset(started[1])
            return
        self.failed(connection, started, error)

    @never_breaks_the_host
    def sent(self, connection: Any, started: Started) -> None:
        """It was sent; what is left of the body may follow."""
        self._current.reset(started[1])
        self._address(connection, started[0])
        self._sent[connection] = started[0]

    @never_breaks_the_host
    def awaiting(self, connection: Any) -> Started | None:
        """The app wants the answer."""
        exchange = self._sent.pop(connection, None)
        return None if exchange is None else (exchange, self._current.set(exchange))

    def settle(self) -> None:
        """Tells what still waits for its body, and what for its answer."""
        super().settle()
        for exchange in list(self._sent.values()):
            self.tell(exchange)

    def _session_of(self, connection: Any) -> Session:
        tls = self._is_tls(connection)
        asked = _verification(getattr(connection, "_context", None)) if tls else None
        return session_of(connection, tls=tls, asked=asked)
