"""The facts of a gRPC channel, from the app's own arguments: the C core exposes neither peer nor certificate.

gRPC's own TLS credentials always verify chain and host name, so a call that got a response over them used verified TLS.
Where a proxy or an option of the app (``grpc.ssl_target_name_override``) changes the host name, less is reported.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from backwatch.collector.probes.families.http.session import login_of
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.probes.toolkit.tls_contexts import VERIFICATIONS, mode_of
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import Session

STATE_ATTRIBUTE: Final = "_backwatch"
"""Entry in the ``__dict__`` of credentials, channels and callables, with their state."""
MAX_SESSIONS: Final = 16
_DEFAULT_PORT: Final = 443
_HOST_NAME_OPTIONS: Final = ("grpc.ssl_target_name_override", "grpc.default_authority")


class Credentials(NamedTuple):
    """The kind of channel credentials.

    Attributes:
        kind: ``tls``, ``plain``; ``""``: another, unknown one.
        auth_method: How they log in: ``certificate``, ``call-credentials``, ``none``; ``""``: not known.
    """

    kind: str
    auth_method: str


UNKNOWN: Final = Credentials("", "")
PLAIN: Final = Credentials("plain", "none")


def credentials_of(given: Any) -> Credentials:
    """Return the known facts of credentials, by their maker or by their class."""
    known = getattr(given, "__dict__", {}).get(STATE_ATTRIBUTE)
    if isinstance(known, Credentials):
        return known
    name = type(getattr(given, "_credentials", None)).__name__
    if name == "SSLChannelCredentials":
        return Credentials("tls", "")
    return PLAIN if name == "InsecureChannelCredentials" else UNKNOWN


def endpoint_of(target: object) -> tuple[str, int, str]:
    """Return host, port and transport of a channel's target.

    >>> endpoint_of("api.example.com:50051"), endpoint_of("dns:///api.example.com"), endpoint_of("unix:/run/x.sock")
    (('api.example.com', 50051, 'tcp'), ('api.example.com', 443, 'tcp'), ('/run/x.sock', 0, 'unix'))
    >>> endpoint_of("ipv6:[::1]:50051"), endpoint_of("ipv4:10.0.0.1:1,10.0.0.2:1")
    (('::1', 50051, 'tcp'), ('10.0.0.1', 1, 'tcp'))
    """
    text = words(target.decode("utf-8", "replace") if isinstance(target, bytes) else target, 512)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        return rest.removeprefix("//")[:200], 0, "unix"
    if colon and scheme in ("dns", "ipv4", "ipv6", "xds", "passthrough", "google-c2p"):
        text = rest.rpartition("/")[2] if rest.startswith("//") else rest
    text = unquote(text.partition(",")[0]).rpartition("@")[2]
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    return host[:255], int(port) if port.isdecimal() and len(port) < 6 else _DEFAULT_PORT, "tcp"


class GrpcChannelState:
    """The state of one channel."""

    __slots__ = ("credentials", "requested", "sessions")

    def __init__(self, target: object, credentials: Credentials, options: Any) -> None:
        self.credentials = credentials
        self.sessions: dict[tuple[str, str, bool], Session] = {}
        address, port, transport = endpoint_of(target)
        facts: dict[str, Any] = {}
        if credentials.kind == "tls":
            facts["requested"] = mode_of(verifies=True, checks_name=not _overrides_host_name(options))
        elif credentials.kind == "plain":
            facts["requested"] = "disable"
        self.requested = Session(
            system="grpc", address=address, port=port, transport=transport,
            requested_explicit=True if facts else None, **facts,
        )  # fmt: skip

    def session(self, authorization: object, *, certified: bool, answered: bool) -> Session:
        """Return the session of one call.

        Args:
            authorization: The call's own header, if it has one.
            certified: The call brings credentials of its own.
            answered: A response came, so the requested connection stands.
        """
        account, method = login_of({"Authorization": authorization}) if authorization else ("", "")
        method = method or ("call-credentials" if certified else self.credentials.auth_method)
        key = (account, method, answered)
        known = self.sessions.get(key)
        if known is None:
            facts: dict[str, Any] = {}
            if answered and self.credentials.kind == "tls":
                facts = {"encrypted": True, "verified": VERIFICATIONS[self.requested.requested]}
            elif self.credentials.kind == "plain":
                facts = {"encrypted": False}
            known = replace(self.requested, encoded=[], account=account, auth_method=method, **facts)
            remember(self.sessions, key, known, MAX_SESSIONS)
        return known


def _overrides_host_name(options: Any) -> bool:
    """Return whether the app accepts a certificate for another name than the target's."""
    if not isinstance(options, Iterable):
        return False
    return any(isinstance(option, tuple) and option and option[0] in _HOST_NAME_OPTIONS for option in options)
