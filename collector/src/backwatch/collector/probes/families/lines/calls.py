"""What goes by on one connection of a protocol of lines (SMTP, IMAP, POP3, FTP): connect, starttls, login, commands."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import asked_by
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters
from backwatch.collector.session.tls import read_tls_facts

Function = Callable[..., Any]
Make = Callable[[Function], Function]


class Link:
    """What is known of one connection."""

    __slots__ = ("account", "busy", "data", "method", "named", "number", "offered", "session", "target", "wire")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.number = -1
        self.wire: SocketCounters | None = None
        self.offered: bool | None = None
        self.busy = ""
        """The call in progress: what the library does by itself inside it belongs to it."""
        self.account = ""
        """Who is about to log in."""
        self.method = ""
        """SMTP: the login method tried last."""
        self.data: dict[str, Any] = {}
        """FTP: what is true of the data connection, where that is not what is true of this one."""
        self.named: tuple[Session, dict[str, Any], Session] | None = None
        self.target = ""
        """FTP: where the server wants data to be fetched, where that is another host."""


class Begun(NamedTuple):
    """A call that waits for its end."""

    link: Link
    start_ns: int


class LineWatch:
    """The connections of one process and protocol.

    Args:
        tls_class: The library's class of clients that speak TLS from the first byte; ``None`` where it has none.
        code_of: The server's own word for what went wrong, in an error of the library.
    """

    def __init__(
        self, recorder: Recorder, system: str, port: int, tls_class: Any, code_of: Callable[[BaseException], str]
    ) -> None:
        self.recorder = recorder
        self.active = True
        self._system = system
        self._port = port
        self._tls_class = tls_class
        self._code_of = code_of
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    def link(self, client: Any) -> Link:
        """What is known of a connection, learnt now where it is older than this probe."""
        link = self._links.get(client)
        if link is None:
            link = self._links[client] = Link(self._asked(client, "", 0))
            link.session = replace(link.session, encoded=[], **_now(client))
            self._count(client, link)
            if link.wire is not None:
                link.wire.read_delta()  # what went by before we came belongs to no call of ours
        return link

    def _asked(self, client: Any, host: object, port: object) -> Session:
        at_once = self._tls_class is not None and isinstance(client, self._tls_class)
        facts: dict[str, Any] = {"requested": "disable", "requested_explicit": False}
        if at_once:
            context = getattr(client, "ssl_context", None) or getattr(client, "context", None)
            facts = {"requested": asked_by(context), "requested_explicit": True}
        address, number = self.place(client, host, port)
        return Session(system=self._system, address=address, port=number or self._port, **facts)

    def place(self, client: Any, host: object, port: object) -> tuple[str, int]:
        """Where a connection leads; port 0: the usual one."""
        address = words(host or getattr(client, "host", "") or "localhost", 255)
        return address, number_of(port or getattr(client, "port", 0))

    def offers(self, client: Any, encrypted: bool | None) -> bool | None:
        """Whether the server offers TLS, where the library knows at any moment; else ``Link.offered`` is set."""
        del client, encrypted
        return None

    def _count(self, client: Any, link: Link) -> None:
        link.number = descriptor(getattr(client, "sock", None))
        link.wire = SocketCounters(link.number) if link.number >= 0 else None

    @never_breaks_the_host
    def connecting(self, client: Any, host: object, port: object) -> Begun | None:
        """A connection is about to be made."""
        if not self.active:
            return None
        link = self._links[client] = Link(self._asked(client, host, port))
        link.busy = "connect"
        return Begun(link, time.time_ns())

    @never_breaks_the_host
    def connected(self, client: Any, begun: Begun, error: BaseException | str | None = None, **facts: Any) -> None:
        """It was, and the server has greeted, if only by a code of refusal (a str)."""
        link = begun.link
        link.busy = ""
        if not isinstance(error, BaseException):
            self._count(client, link)
            now = _now(client)
            link.session = replace(link.session, encoded=[], **{**now, **facts})
            if not link.session.encrypted:
                # STARTTLS may follow; a session that will be encrypted in a moment is not one in plaintext.
                link.session = replace(link.session, encoded=[], encrypted=None)
        self.recorder.record_call(
            link.session, "connect", start_ns=begun.start_ns, wire=link.wire, error=error, facts=self._code(error)
        )

    @never_breaks_the_host
    def begin(self, client: Any, operation: str, **changes: Any) -> Begun | None:
        """A call begins, unless it is part of another one; ``changes`` are facts of the session from now on."""
        if not self.active:
            return None
        link = self.link(client)
        if link.busy:
            return None
        link.busy = operation
        if changes:
            link.session = replace(link.session, encoded=[], **changes)
        return Begun(link, time.time_ns())

    @never_breaks_the_host
    def ended(
        self, client: Any, begun: Begun, error: BaseException | str | None, statement: str = "", *, rows: int = -1,
        affected: int = -1, facts: Facts = (), moved: tuple[int, int] = UNKNOWN, **changes: Any,
    ) -> None:  # fmt: skip
        """The call has ended; ``moved`` are bytes that went over another connection, an estimate."""
        link = begun.link
        operation, link.busy = link.busy, ""
        self._look(client, link, {} if error is not None else changes)
        # Who failed to log in is told with that call only.
        session = replace(link.session, encoded=[], **changes) if error is not None and changes else link.session
        if type(error).__module__ == "ssl":
            session = replace(session, encoded=[], encrypted=None)  # asked for and offered, but the handshake failed
        if link.data:
            session, link.data = _of_data(link, session), {}
        wire = link.wire if link.number == descriptor(getattr(client, "sock", None)) else None
        estimated = UNKNOWN
        if moved is not UNKNOWN:
            sent, received = wire.read_delta() if wire is not None else (0, 0)
            wire, estimated = None, (max(sent, 0) + moved[0], max(received, 0) + moved[1])
        self.recorder.record_call(
            session, operation, statement=statement, start_ns=begun.start_ns, wire=wire, estimated=estimated,
            rows_returned=rows, rows_affected=affected, error=error, facts=(*self._code(error), *facts),
        )  # fmt: skip

    def _code(self, error: BaseException | str | None) -> Facts:
        code = self._code_of(error) if isinstance(error, BaseException) else error or ""
        return ((names.STATUS_CODE, code),) if code else ()

    def _look(self, client: Any, link: Link, changes: dict[str, Any]) -> None:
        now = {**_now(client), **changes}
        offered = self.offers(client, now.get("encrypted", link.session.encrypted))
        if offered is not None:
            link.offered = offered
        if link.offered is not None:
            now["extra"] = ((names.STARTTLS_OFFERED, link.offered),)
        if any(getattr(link.session, key) != value for key, value in now.items()):
            link.session = replace(link.session, encoded=[], **now)


def connecting(watch: LineWatch, greeted: Callable[[Any, Any], dict[str, Any] | None], host: str = "") -> Make:
    """Wraps what makes a connection.

    Args:
        greeted: What the server said of itself, by the client and what the library returned: arguments of
            ``LineWatch.connected``. Guarded.
        host: The library's own default.
    """

    def make(original: Function) -> Function:
        def connecting(client: Any, *args: Any, **options: Any) -> Any:
            given = dict(zip(("host", "port"), args, strict=False)) | options
            begun = watch.connecting(client, given.get("host", host), given.get("port", 0))
            if begun is None:
                return original(client, *args, **options)
            try:
                result = original(client, *args, **options)
            except BaseException as error:
                watch.connected(client, begun, error)
                raise
            watch.connected(client, begun, **(greeted(client, result) or {}))
            return result

        return connecting

    return make


def starting(watch: LineWatch, context_of: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> Make:
    """Wraps what turns a connection into one over TLS."""

    def make(original: Function) -> Function:
        def upgrading(client: Any, *args: Any, **options: Any) -> Any:
            asked = {"requested": asked_by(context_of(client, args, options)), "requested_explicit": True}
            begun = watch.begin(client, "starttls", **asked)
            if begun is None:
                return original(client, *args, **options)
            try:
                reply = original(client, *args, **options)
            except BaseException as error:
                watch.ended(client, begun, error)
                raise
            begun.link.offered = True
            watch.ended(client, begun, None)
            return reply

        return upgrading

    return make


def _of_data(link: Link, session: Session) -> Session:
    """The session of the data connection: made once where it stays the same."""
    if all(getattr(session, key) == value for key, value in link.data.items()):
        return session
    if link.named is None or link.named[0] is not session or link.named[1] != link.data:
        link.named = session, link.data, replace(session, encoded=[], **link.data)
    return link.named[2]


def _now(client: Any) -> dict[str, Any]:
    """What is true of the connection at this moment; nothing where it is closed."""
    socket = getattr(client, "sock", None)
    if descriptor(socket) < 0:
        return {}
    return {**read_tls_facts(tls_of(socket)), **peer(socket)}


def number_of(port: object) -> int:
    """A port as the app gave it; 0 where it is none."""
    return int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdigit()) else 0
