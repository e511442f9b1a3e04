"""Facts of an HTTP session, from urllib3's connection object, and of a request."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from backwatch.collector import names
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import VERIFICATIONS, mode_of
from backwatch.collector.redaction.http import redact_url
from backwatch.collector.runtime.record import Session

_SCHEME: Final = re.compile(r"[A-Za-z0-9-]{1,30}\Z")
_MAX_URL_CHARS: Final = 200
_PLAIN: Final = re.compile(r"[\w.:\[\]-]+")
_ABSOLUTE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20})://")
_LEADING_SLASHES: Final = re.compile(r"(https?:)/+|/{2,}", re.IGNORECASE)
_TLS_SCHEMES: Final = frozenset(("https", "wss"))
_NO_PASSWORD: Final = (b"", b"x", b"X", b"x-oauth-basic")


HTTP_FACTS: Final = names.OVER_TLS | {
    names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.HTTP_METHOD,
    names.HTTP_STATUS, names.URL_SECRET, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT,
    names.BYTES_RECEIVED, names.ERROR_TYPE, names.REDIRECT_TARGET,
}  # fmt: skip
"""Facts that every HTTP client reports."""
METADATA_HEADER: Final = "metadata-header"
"""Login method of a request to a cloud's metadata service with its own header, which no forged URL brings."""
_METADATA_HEADERS: Final = frozenset(("x-aws-ec2-metadata-token", "metadata-flavor", "metadata"))
LOGIN_HEADERS: Final = frozenset(name.encode() for name in ("authorization", *_METADATA_HEADERS))
"""All headers that ``login_of`` reads, for clients whose headers are bytes."""


def session_of(connection: Any, *, tls: bool, requested: tuple[str, str] | None = None) -> Session:
    """Return the session, as the connection knows it at present.

    Args:
        tls: The app chose ``https``; else it chose plain ``http``.
        requested: The requested TLS mode, and what a handshake verifies, where urllib3 does not decide.
    """
    mode, verified = requested or (_requested_mode(connection), _verification(connection))
    facts: dict[str, Any] = {"requested": mode if tls else "disable"}
    socket = getattr(connection, "sock", None)
    if socket is not None:
        facts.update(connection_facts(socket, tls_of(socket), verified=verified))
    address, port = _endpoint(connection)
    return Session(system="http", address=address, port=port, requested_explicit=True, **facts)


def _endpoint(connection: Any) -> tuple[str, int]:
    """Return the request's final host and port: behind a proxy's tunnel, those of its far end."""
    host = getattr(connection, "_tunnel_host", None)
    port = getattr(connection, "_tunnel_port", None) if host else None
    if not host:
        host, port = getattr(connection, "host", ""), getattr(connection, "port", 0)
    return words(host, 512).rpartition("@")[2][:255].strip("[]"), int(port or 0)


def _skips_verification(connection: Any) -> bool:
    mode = getattr(connection, "cert_reqs", None)
    return mode in ("CERT_NONE", "NONE") or (isinstance(mode, int) and int(mode) == 0)


def _requested_mode(connection: Any) -> str:
    checks_name = getattr(connection, "assert_hostname", None) is not False
    return mode_of(verifies=not _skips_verification(connection), checks_name=checks_name)


def _verification(connection: Any) -> str:
    """Return what urllib3 verified: it checks host names and pinned certificates itself, and a proxy separately."""
    forwards = getattr(connection, "proxy_is_forwarding", False)
    verifies = getattr(connection, "proxy_is_verified" if forwards else "is_verified", False)
    checks_name = getattr(connection, "assert_hostname", None) is not False
    return VERIFICATIONS[mode_of(verifies=verifies, checks_name=checks_name)]


def login_of(headers: object) -> tuple[str, str]:
    """Return account and method of an ``Authorization`` header: never what follows the name.

    >>> login_of({"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()})
    ('ann', 'clear-password')
    >>> login_of({"Authorization": "Basic " + base64.b64encode(b"sk_live_secret:").decode()})
    ('', 'clear-password')
    >>> login_of({"Metadata-Flavor": "Google"})
    ('', 'metadata-header')
    """
    if not isinstance(headers, Mapping):
        return "", ""
    value = headers.get("Authorization") or headers.get("authorization")
    if value is None and any(isinstance(name, str) and name.lower() in _METADATA_HEADERS for name in headers):
        return "", METADATA_HEADER
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return "", ""
    scheme, _, rest = value.partition(" ")
    if not rest or not _SCHEME.match(scheme):
        return "", ""  # a word alone is no scheme: it is the secret itself
    if scheme.lower() != "basic":
        return "", scheme.lower()
    try:
        name, _, password = base64.b64decode(rest[:1000].strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return "", "clear-password"
    # Where there is no password, or a filler in its place, the name is a token.
    return ("" if password in _NO_PASSWORD else words(name)), "clear-password"


def redirect_target(url: str, location: object) -> str:
    """Return the target of a ``Location`` header, seen from ``url``: scheme, host, port and the path's template.

    >>> redirect_target("https://api.example.com/a", "http://ann:secret@169.254.169.254/latest/meta-data/?token=1")
    'http://169.254.169.254/latest/meta-data/'
    >>> redirect_target("https://api.example.com/a", "https://EVIL%2eexample/")  # requests goes there
    'https://evil.example/'
    >>> redirect_target("https://api.example.com/a", "/\\\\evil.example/x")  # so do browsers, and some clients
    'https://evil.example/x'
    """
    if isinstance(location, bytes):
        location = location.decode("latin-1")
    if not isinstance(location, str) or not location:
        return ""
    text = location[:2000].strip()
    try:
        target = urljoin(url, text)
        if urlsplit(target).hostname == urlsplit(url).hostname:
            target = urljoin(url, _straighten_slashes(text))
        return words(redact_url(_unescape_host(target)), _MAX_URL_CHARS)
    except ValueError:  # not a URL at all; that there was a redirect is still a fact
        return "?"


def _straighten_slashes(location: str) -> str:
    """Return the location with the slashes that browsers and some clients read in ``///host`` or with backslashes."""
    plain = location.replace("\\", "/")
    found = _LEADING_SLASHES.match(plain)
    return f"{found[1] or ''}//{plain[found.end() :]}" if found else location


def _unescape_host(url: str) -> str:
    """Return the URL with its host in plain characters: clients resolve the escaped ones, too."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    plain = unquote(host) if "%" in host else host
    return parts._replace(netloc=plain).geturl() if plain != host and _PLAIN.fullmatch(plain) else url


def endpoint_of(url: str) -> tuple[str, int]:
    """Return host and port of an absolute URL; empty where it cannot be parsed."""
    try:
        parts = urlsplit(url)
        return words(parts.hostname, 255), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", 0


def scheme_of(target: str) -> str:
    """Return the scheme of a request's target for a forwarding proxy, a whole URL; ``""`` for a path.

    >>> scheme_of("HTTP://api.example.com/a"), scheme_of("/web/http://api.example.com/a"), scheme_of("*")
    ('http', '', '')
    """
    found = _ABSOLUTE.match(target)
    return found[1].lower() if found else ""


def forward_session(session: Session, scheme: str, address: str, port: int) -> Session:
    """Return the session behind a forwarding proxy: the TLS of ``session`` ends at the proxy.

    Args:
        scheme: The target's. Where it is not TLS's, plaintext is what reaches the service; else the proxy does its own
            handshake, of which nothing is known here.
    """
    tls = scheme in _TLS_SCHEMES
    if session.requested == "disable" or (tls and (address, port) == (session.address, session.port)):
        return replace(session, encoded=[], address=address, port=port)
    return replace(
        session, encoded=[], address=address, port=port, encrypted=None if tls else False,
        requested="" if tls else "disable", requested_explicit=None if tls else True, tls_version="", cipher="",
        verified="", certificate_sha256="", not_before="", not_after="", issuer="", subject="",
    )  # fmt: skip
