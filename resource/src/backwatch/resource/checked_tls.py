"""A TLS context that judges each connection made with it: the host before the handshake, the session after it.

For drivers that take a context and connect wherever a service leads them.
"""

import ssl
import threading
import time
from typing import Any, Final

from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import TLS_FIX, Attachment, read_peer, read_tls
from backwatch.resource.replies import MeteredTlsSocket, ReplyMeter
from backwatch.resource.tls import VERSIONS, describe_error, find_ca_file, make_context, name_check

LEADS: Final = "the service leads to"
REMEMBERED_S: Final = 60.0
"""Seconds for which the last refusal is given as the reason of a driver's vague error."""
UNANSWERED_PART: Final = 0.3
"""Of the time to connect: a handshake that waits for longer explains why a driver gave up."""


class CheckedContext(ssl.SSLContext):
    """A client's context for one resource.

    Its sockets and objects refuse foreign hosts before the handshake, and whatever the policy forbids after it; the
    driver sends credentials only then. Drivers often hide the error: :meth:`raise_refusal` raises it again.

    Attributes:
        attachment: URL and policy.
        metered: Whether replies are bounded: what is received between two requests.
        check_hosts: Whether the host of a connection is held against the allowed ones.
    """

    attachment: Attachment
    metered: bool
    check_hosts: bool
    _refused: tuple[float, ResourceUnsafe] | None
    _unanswered_since: float
    _never_answered: bool
    _driver_class: type[ssl.SSLObject]
    _lock: threading.Lock

    @classmethod
    def make(cls, attachment: Attachment, *, metered: bool = False, check_hosts: bool = True) -> "CheckedContext":
        """Return a context with authorities, name check and lowest version of the policy."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        like = make_context(attachment.policy)
        context.check_hostname = like.check_hostname
        context.verify_mode = like.verify_mode
        context.verify_flags = like.verify_flags
        context.options |= like.options
        context.minimum_version = VERSIONS[attachment.policy.text("tls_min")]
        if attachment.policy.text("ca") == "system":
            context.load_default_certs()
        else:
            context.load_verify_locations(find_ca_file(attachment.policy))
        context.attachment, context.metered, context.check_hosts = attachment, metered, check_hosts
        context.sslsocket_class = _CheckedSocket
        context._driver_class = ssl.SSLObject
        context._refused, context._unanswered_since, context._never_answered = None, 0.0, True
        context._lock = threading.Lock()
        return context

    def _extend_class(self) -> type[ssl.SSLObject]:
        return type("CheckedObject", (_CheckedObject, self.__dict__.get("_driver_class", ssl.SSLObject)), {})

    def _keep_class(self, value: type[ssl.SSLObject]) -> None:
        self._driver_class = value

    sslobject_class: Any = property(_extend_class, _keep_class)
    """Class of objects for asynchronous drivers. One that a driver sets is extended."""

    def refused(self, error: ResourceUnsafe) -> None:
        """Remember a refusal."""
        with self._lock:
            self._refused = time.monotonic(), error

    def raise_refusal(self, cause: BaseException | None = None) -> None:
        """Raise the last refusal, if it is recent; otherwise return.

        Args:
            cause: Error with which the driver gave up. Then also a handshake that the server does not answer counts.

        Raises:
            ResourceUnsafe: A connection was refused within the last minute.
        """
        with self._lock:
            refused, self._refused = self._refused, None
        now = time.monotonic()
        if refused and now - refused[0] < REMEMBERED_S:
            found = refused[1]
            raise ResourceUnsafe(found.resource, found.check, found.seen, found.fix) from cause
        begun, patience_s = self._unanswered_since, self.attachment.policy.seconds("connect_timeout_s")
        if cause is not None and begun and (self._never_answered or now - begun > patience_s * UNANSWERED_PART):
            self._unanswered_since = 0.0
            self.attachment.refuse("tls", "the server does not answer a TLS handshake", TLS_FIX)

    def check_before(self, host: str | None, port: int | None) -> None:
        """Refuse a foreign host.

        Args:
            host: Name that the driver asked for; ``None``: it gave TLS none.
            port: TCP port; ``None``: unknown.
        """
        if not self.check_hosts or host is None:
            return
        if port is None:
            self.attachment.check_host(host, LEADS)
        else:
            self.attachment.check_endpoint(host, port, LEADS)

    def shake(self, connection: Any, handshake: Any, host: str | None, peer: tuple[str, int] | None) -> None:
        """Run a handshake between the checks. One that must wait for the peer is run again by the driver."""
        try:
            self.check_before(host, peer[1] if peer else None)
            self._unanswered_since = self._unanswered_since or time.monotonic()
            try:
                handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                if not isinstance(error, ssl.SSLEOFError):  # a server that restarts closes its connections
                    self.attachment.refuse(name_check(error), describe_error(error), TLS_FIX)
                raise
            self._unanswered_since, self._never_answered = 0.0, False
            self.attachment.check_session(read_tls(connection), address=peer[0] if peer else "")
        except ResourceUnsafe as error:
            self.refused(error)
            raise


def _context_of(connection: Any) -> CheckedContext:
    return connection.context


class _CheckedSocket(MeteredTlsSocket):
    """A socket of a :class:`CheckedContext`."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, and judge."""
        context = _context_of(self)
        if context.metered and self.meter is None:
            self.meter, self.per_request = ReplyMeter(context.attachment, context.refused), True
        address = read_peer(self.fileno())
        peer = (address, int(self.getpeername()[1])) if address else None
        context.shake(self, lambda: super(_CheckedSocket, self).do_handshake(block), self.server_hostname, peer)


class _CheckedObject(ssl.SSLObject):
    """An object of a :class:`CheckedContext`, for drivers on asyncio."""

    _meter: ReplyMeter | None = None

    def do_handshake(self) -> None:
        """Shake hands, and judge."""
        context = _context_of(self)
        if context.metered and self._meter is None:
            self._meter = ReplyMeter(context.attachment, context.refused)
        context.shake(self, super().do_handshake, self.server_hostname, None)

    def read(self, *arguments: Any, **options: Any) -> Any:
        """Read, and count."""
        found: Any = super().read(*arguments, **options)
        if self._meter is not None:
            self._meter.add(found if isinstance(found, int) else len(found))
        return found

    def write(self, data: Any) -> int:
        """Write. Whatever is read next is another reply."""
        if self._meter is not None:
            self._meter.start()
        return super().write(data)
