"""What goes by on one mail connection: connect, starttls, login and send are calls; what EHLO offers is a fact."""

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.guard import never_breaks_the_host
from backwatch.collector.probes import Recorder
from backwatch.collector.probes._contexts import asked_by
from backwatch.collector.probes._sockets import descriptor, peer, tls_of, words
from backwatch.collector.record import AttributeValue, Session
from backwatch.collector.redact import smtp as redact
from backwatch.collector.tls import facts_of
from backwatch.collector.wire import Wire

MAX_RECIPIENTS: Final = 1_000
_BANNER: Final = re.compile(r"[^;]{0,120}")
_SERIAL: Final = re.compile(r"(?=[^.]*\d)[A-Za-z0-9_+/=-]{12,}")
"""A word of a banner that is new with every connection (Gmail's, for one); a host name has dots."""
_IN_CLEAR: Final = frozenset(("PLAIN", "LOGIN"))


class Link:
    """What is known of one connection."""

    __slots__ = ("busy", "method", "number", "offered", "session", "wire")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.number = -1
        self.wire: Wire | None = None
        self.offered: bool | None = None
        self.method = ""
        self.busy = ""
        """The call in progress: what the library does by itself inside it belongs to it."""


class Watch:
    """The connections of one process."""

    def __init__(self, recorder: Recorder, tls_class: type) -> None:
        self.recorder = recorder
        self.tls_class = tls_class
        self.active = True
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()

    def _link(self, client: Any) -> Link:
        link = self._links.get(client)
        if link is None:
            link = self._links[client] = Link(_session(client, self.tls_class, "", 0))
            self._count(client, link)
            if link.wire is not None:
                link.wire.since_last()  # what went by before we came belongs to no call of ours
        return link

    def _count(self, client: Any, link: Link) -> None:
        link.number = descriptor(getattr(client, "sock", None))
        link.wire = Wire(link.number) if link.number >= 0 else None

    @never_breaks_the_host
    def connecting(self, client: Any, host: object, port: object) -> tuple[Link, int] | None:
        """``connect`` begins."""
        if not self.active:
            return None
        link = self._links[client] = Link(_session(client, self.tls_class, host, port))
        link.busy = "connect"
        return link, time.time_ns()

    @never_breaks_the_host
    def connected(self, client: Any, begun: tuple[Link, int], reply: Any, error: BaseException | None) -> None:
        """It has ended; ``reply`` is the server's code and banner."""
        link, start_ns = begun
        link.busy = ""
        failure: BaseException | str | None = error
        facts: list[tuple[str, AttributeValue]] = []
        if error is None:
            code, banner = reply[0], reply[1]
            self._count(client, link)
            link.session = replace(link.session, encoded=[], **_now(client), server_version=banner_text(banner))
            if not link.session.encrypted:
                # STARTTLS may follow; a session that will be encrypted in a moment is not one in plaintext.
                link.session = replace(link.session, encoded=[], encrypted=None)
            if code != 220:
                failure = words(code, 10)
                facts.append((names.STATUS_CODE, words(code, 10)))
        self.recorder.call(
            link.session, "connect", start_ns=start_ns, wire=link.wire, error=failure,
            facts=tuple(facts) or code_of(error),
        )  # fmt: skip

    @never_breaks_the_host
    def begin(self, client: Any, operation: str, **changes: Any) -> tuple[Link, int] | None:
        """A call begins, unless it is part of another one; ``changes`` are facts of the session from now on."""
        if not self.active:
            return None
        link = self._link(client)
        if link.busy:
            return None
        link.busy = operation
        if changes:
            link.session = replace(link.session, encoded=[], **changes)
        return link, time.time_ns()

    @never_breaks_the_host
    def ended(
        self,
        client: Any,
        begun: tuple[Link, int],
        error: BaseException | None,
        statement: str,
        accepted: int = -1,
        **changes: Any,
    ) -> None:
        """The call has ended; the session's state is read anew first."""
        link, start_ns = begun
        operation, link.busy = link.busy, ""
        self._look(client, link, {} if error is not None else changes)
        # Who failed to log in is told with that call only.
        session = replace(link.session, encoded=[], **changes) if error is not None and changes else link.session
        if type(error).__module__ == "ssl":
            session = replace(session, encoded=[], encrypted=None)  # asked for and offered, but the handshake failed
        alive = link.wire if link.number == descriptor(getattr(client, "sock", None)) else None
        self.recorder.call(
            session, operation, statement=statement, start_ns=start_ns, wire=alive, error=error,
            rows_affected=accepted, facts=code_of(error),
        )  # fmt: skip

    @never_breaks_the_host
    def greeted(self, client: Any) -> None:
        """EHLO or HELO was answered."""
        if self.active:
            self._look(client, self._link(client), {})

    @never_breaks_the_host
    def method(self, client: Any, mechanism: object) -> None:
        """A login method is tried; the last one is the one that worked."""
        word = words(mechanism, 30).upper()
        self._link(client).method = "clear-password" if word in _IN_CLEAR else word.lower()

    def method_of(self, client: Any) -> str:
        """The login method tried last."""
        link = self._links.get(client)
        return link.method if link is not None else ""

    def _look(self, client: Any, link: Link, changes: dict[str, Any]) -> None:
        now = {**_now(client), **changes}
        encrypted = now.get("encrypted", link.session.encrypted)
        if encrypted is False and getattr(client, "ehlo_resp", None) is not None:
            # Asked before TLS only: inside TLS a server does not offer it again.
            link.offered = "starttls" in (getattr(client, "esmtp_features", None) or {})
        if link.offered is not None:
            now["extra"] = ((names.STARTTLS_OFFERED, link.offered),)
        if any(getattr(link.session, key) != value for key, value in now.items()):
            link.session = replace(link.session, encoded=[], **now)


def _now(client: Any) -> dict[str, Any]:
    """What is true of the connection at this moment; nothing where it is closed."""
    socket = getattr(client, "sock", None)
    if descriptor(socket) < 0:
        return {}
    return {**facts_of(tls_of(socket)), **peer(socket)}


def _session(client: Any, tls_class: type, host: object, port: object) -> Session:
    at_once = isinstance(client, tls_class)
    facts: dict[str, Any] = {"requested": "disable", "requested_explicit": False}
    if at_once:
        facts = {"requested": asked_by(getattr(client, "context", None)), "requested_explicit": True}
    address = words(host or getattr(client, "_host", "") or "localhost", 255)
    number = int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdigit()) else 0
    if not number and address.find(":") == address.rfind(":") > 0:
        address, _, tail = address.rpartition(":")
        number = int(tail) if tail.isdigit() else 0
    number = number or int(getattr(client, "default_port", 0) or 0)
    return Session(system="smtp", address=address, port=number, **facts, **_now(client))


def banner_text(banner: object) -> str:
    """The server's greeting without what differs from one connection to the next.

    >>> banner_text(b"mx.example.net ESMTP a640c23a62f3a-b7654fd430csi2 - gsmtp")
    'mx.example.net ESMTP - gsmtp'
    >>> banner_text(b"mail.example.net ESMTP Sendmail 8.17; Tue, 25 Nov 2025 10:00:00 GMT")
    'mail.example.net ESMTP Sendmail 8.17'
    """
    found = _BANNER.match(words(banner, 200))
    kept = (found[0] if found else "").split()
    return " ".join(word for word in kept if not _SERIAL.fullmatch(word))


def code_of(error: BaseException | None) -> tuple[tuple[str, AttributeValue], ...]:
    """The server's reply code in an error of smtplib."""
    code = getattr(error, "smtp_code", None)
    return ((names.STATUS_CODE, str(code)),) if isinstance(code, int) and 0 < code < 1000 else ()


@never_breaks_the_host
def send_text(recipients: object) -> tuple[str, int]:
    """Statement of a message by its recipients, and how many they are."""
    if isinstance(recipients, (str, bytes)):
        listed: list[object] = [recipients]
    elif isinstance(recipients, (list, tuple, set, frozenset, dict)):
        listed = list(recipients)
    else:
        return "", -1  # an iterator that we must not use up
    return redact.statement([words(one, 320) for one in _first(listed)]), len(listed)


def _first(listed: list[object]) -> Iterable[object]:
    return listed[:MAX_RECIPIENTS]
