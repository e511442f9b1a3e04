"""One POST to an operator's endpoint: address checked before a byte is sent, no redirect, no proxy, an end in sight.

``requests`` counts its timeout anew with every byte that arrives, so a receiver that drips could hold a thread for
hours. A timer therefore shuts the socket down when the whole attempt has had its time. It cannot end the parsing of
what has come by then: megabytes of cookies cost seconds of CPU and hundreds of megabytes, so a head is bounded too.
"""

import http.client
import io
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import requests
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

FAILURES: Final = (requests.RequestException, HTTPError, OSError, ValueError)
"""All that an attempt can raise because of what a receiver, a resolver or a network does."""
METADATA: Final = frozenset(
    ipaddress.ip_address(address)
    for address in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
"""Where clouds answer with credentials, beside the link-local range."""
_NO_DEADLINE_S: Final = 15.0
_CARRY_V4: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""Whose last 32 bits are the address that is meant: NAT64, and the old IPv4-compatible ones."""


MAX_HEAD_BYTES: Final = 65_536
"""Of status line and headers, interim answers included; what is longer is no answer."""


class ForbiddenAddressError(requests.RequestException):
    """The host resolves to an address that is never spoken to."""


class _Forbidden(Exception):
    """The same where urllib3 would hear it: what it does not know passes through it unchanged."""


class Deadline:
    """Close this thread's connection when the time is up."""

    _of_thread = threading.local()

    def __init__(self, timeout_s: float) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.over = False
        self._end_s = time.monotonic() + timeout_s
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        Deadline._of_thread.current = self
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Deadline._of_thread.current = None
        self._timer.cancel()
        with self._lock:
            for connected in self._sockets:
                connected.close()
            self._sockets.clear()

    @classmethod
    def left_s(cls) -> float:
        """Seconds that this thread's attempt has left, a moment at least."""
        current: Deadline | None = getattr(cls._of_thread, "current", None)
        return max(0.001, current._end_s - time.monotonic()) if current is not None else _NO_DEADLINE_S

    @classmethod
    def watch(cls, connected: socket.socket) -> None:
        """Puts a socket under this thread's deadline."""
        current: Deadline | None = getattr(cls._of_thread, "current", None)
        if current is not None:
            with current._lock:
                # A second descriptor of the same connection: TLS takes the first one away from its object.
                current._sockets.append(connected.dup())
                if current.over:
                    current._shut()

    def _end(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        for connected in self._sockets:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by the other side already
                continue


class _HeadReader(io.BufferedReader):
    """What a response is read from; only its head is."""

    left_bytes = MAX_HEAD_BYTES

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a line of the head."""
        line = super().readline(size)
        self.left_bytes -= len(line)
        if self.left_bytes < 0:
            raise http.client.HTTPException("the answer's head is too long")
        return line


class _HeadResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = _HeadReader(self.fp.detach())

    def begin(self) -> None:
        """Read the head. What of it cannot be parsed is ignored: urllib3 logs it whole, with the URL and its path."""
        super().begin()
        self.msg.defects.clear()
        self.msg.set_payload("")


class _Connection(HTTPConnection):
    response_class = _HeadResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)


class _TlsConnection(HTTPSConnection):
    response_class = _HeadResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]  urllib3 declares its own classes so, too


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


class _Session(HTTPSession):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """None: with one, requests reads and unpacks the whole body of a 3xx, only to tell where it would lead."""
        return None


def _connect(connection: HTTPConnection, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect to the first address of the host that answers, all of them within what is left of the attempt.

    urllib3 gives each address the whole timeout: a name with a hundred of them would hold a thread for minutes.
    """
    host, timeout = connection.host, connection.timeout
    found = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
    addresses = [*dict.fromkeys(str(entry[4][0]) for entry in found)]
    for address in addresses:
        _refuse_forbidden(address)
    failure: HTTPError | None = None
    try:
        for number, address in enumerate(addresses):
            connection.host = address
            connection.timeout = Deadline.left_s() / (len(addresses) - number)  # a dead one leaves time for the others
            try:
                connected = _check_peer(connect())
            except HTTPError as error:
                failure = error
                continue
            connected.settimeout(Deadline.left_s())
            return connected
    finally:
        connection.host, connection.timeout = host, timeout
    raise failure or OSError(f"{host[:100]}: has no address")


def _check_peer(connected: socket.socket) -> socket.socket:
    """Nothing was sent yet, not even a TLS greeting: now it is certain who is at the other end."""
    try:
        _refuse_forbidden(str(connected.getpeername()[0]))
        Deadline.watch(connected)
    except BaseException:
        connected.close()
        raise
    return connected


def _refuse_forbidden(address: str) -> None:
    if never_spoken_to(address):
        raise _Forbidden


def never_spoken_to(address: str) -> bool:
    """Whether no setting may allow this address, however it is written.

    >>> never_spoken_to("169.254.169.254"), never_spoken_to("::ffff:169.254.169.254"), never_spoken_to("10.0.0.1")
    (True, True, False)
    >>> never_spoken_to("64:ff9b::a9fe:a9fe"), never_spoken_to("2002:a9fe:a9fe::1"), never_spoken_to("::1")
    (True, True, False)
    """
    return any(
        ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in METADATA
        for ip in _meant(ipaddress.ip_address(address.partition("%")[0]))
    )


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address, and the one of IPv4 that it carries, to which a gateway or the kernel may take it."""
    yield ip
    if isinstance(ip, ipaddress.IPv6Address):
        last = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        carried = last if any(ip in network for network in _CARRY_V4) else None
        yield from (inner for inner in (ip.ipv4_mapped, ip.sixtofour, carried) if inner is not None)


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, private: bool, ca_file: str
) -> requests.Response:
    """One POST over a connection of its own. The answer's body is not read.

    Args:
        url: Whole, with path.
        body: The exact bytes.
        headers: All of them but ``Host`` and ``Content-Length``.
        timeout_s: For the whole attempt.
        private: Whether the host may be a private or loopback one.
        ca_file: Certificates to trust instead of the public ones; empty: the public ones.
    """
    config = Config(
        ip_filter_enable=not private,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(timeout_s, timeout_s),
    )
    with _Session(config) as session, Deadline(timeout_s) as deadline:
        session.trust_env = False  # no proxy and no .netrc out of the environment
        for adapter in session.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        try:
            answer = session.post(
                url, data=body, headers={**headers, "Connection": "close"}, stream=True, timeout=timeout_s,
                verify=ca_file or True, allow_redirects=False,
            )  # fmt: skip
        except _Forbidden:
            raise ForbiddenAddressError("a metadata, link-local, multicast or unspecified address") from None
        answer.close()
        if deadline.over:  # a head that we cut off ourselves reads like a whole one
            raise requests.Timeout("the answer's head took too long")
        return answer
