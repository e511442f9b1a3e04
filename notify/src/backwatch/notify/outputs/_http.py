"""One POST to an operator's endpoint: address checked and pinned, no redirect, no proxy, an end in sight.

``requests`` counts its timeout anew with every byte that arrives, so a receiver that drips could hold a thread for
hours. A timer therefore shuts the socket down when the whole attempt has had its time.
"""

import ipaddress
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

FAILURES: Final = (requests.RequestException, HTTPError, OSError, ValueError)
"""All that an attempt can raise because of what a receiver, a resolver or a network does."""


class ForbiddenAddressError(requests.RequestException):
    """The host resolves to an address that is never spoken to."""


class Deadline:
    """Ends whatever this thread has connected to when the time is up."""

    _of_thread = threading.local()

    def __init__(self, timeout_s: float) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.over = False
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
            for one in self._sockets:
                one.close()
            self._sockets.clear()

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
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by the other side already
                continue


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        Deadline.watch(connected)
        return connected


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        Deadline.watch(connected)
        return connected


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]  urllib3 declares its own classes so, too


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


class _PrivateAdapter(HTTPAdapter):
    """For hosts that may be private: still never the link-local range, where clouds answer with credentials."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        for found in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
            if never_spoken_to(str(found[4][0])):
                raise ForbiddenAddressError("the address is link-local, multicast or unspecified")
        return super().send(request, *args, **kwargs)


def never_spoken_to(address: str) -> bool:
    """Whether no setting may allow this address.

    >>> never_spoken_to("169.254.169.254"), never_spoken_to("::ffff:169.254.169.254"), never_spoken_to("10.0.0.1")
    (True, True, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip == ipaddress.ip_address("fd00:ec2::254")


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
    with HTTPSession(config) as session, Deadline(timeout_s) as deadline:
        session.trust_env = False  # no proxy and no .netrc out of the environment
        if private:
            session.mount("http://", _PrivateAdapter())
            session.mount("https://", _PrivateAdapter())
        for adapter in session.adapters.values():
            if isinstance(adapter, IPFilterAdapter | _PrivateAdapter):
                adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        answer = session.post(
            url, data=body, headers={**headers, "Connection": "close"}, stream=True, timeout=timeout_s,
            verify=ca_file or True, allow_redirects=False,
        )  # fmt: skip
        answer.close()
        if deadline.over:  # a head that we cut off ourselves reads like a whole one
            raise requests.Timeout("the answer's head took too long")
        return answer
