"""ASGI middleware around Streamlit: host check, security headers, unknown paths.

Streamlit checks names on its web socket only, and lets a page from any other port of this machine open one. Here every
path requires an allowed host, and a web socket must come from a page of the dashboard.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from backwatch.dashboard import index

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY: Final = "; ".join((
    "default-src 'self'", "img-src 'self' data: blob:", "style-src 'self' 'unsafe-inline'",
    # Vega compiles its expressions: without eval there is no chart. Inline scripts are named one by one.
    f"script-src 'self' 'unsafe-eval' {' '.join(index.script_hashes())}", "font-src 'self' data:", "connect-src 'self'",
    "worker-src 'self' blob:", "object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-src 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
PROBES: Final = ("/readyz", "/healthz", "/_stcore/health")
"""Served under any name: they contain no data, and health checks of containers use an address."""
_NAME: Final = re.compile(r"[0-9a-z_.:-]+")
"""A host as browsers send it: other scripts are encoded as ASCII, and there are no patterns."""


async def refuse(scope: Scope, send: Send, reason: bytes) -> None:
    """Refuse a request with status 403, or close a web socket before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": reason})


class SecurityHeaders:
    """Add the security headers to every response."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                others = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
                message["headers"] = [*others, *HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class UnknownPaths:
    """Return 404 where Streamlit would serve its page for any path.

    Otherwise ``/metrics``, ``/healthz`` or a misspelt page would look healthy to a monitor.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["path"].removesuffix("/").removeprefix("/") in ("", *index.PAGES):
            await self._app(scope, receive, send)
            return
        is_page = False

        async def send_not_found(message: Message) -> None:
            nonlocal is_page
            if message["type"] == "http.response.start":
                headers = {name.lower(): value for name, value in message.get("headers", [])}
                is_page = message["status"] < 400 and headers.get(b"content-type", b"").startswith(b"text/html")
                if is_page:
                    plain = [(b"content-type", b"text/plain; charset=utf-8")]
                    message = {"type": "http.response.start", "status": 404, "headers": plain}
            elif is_page:
                is_last = not message.get("more_body", False)
                body = b"Not found\n" if is_last and scope["method"] != "HEAD" else b""
                message = {"type": "http.response.body", "body": body, "more_body": not is_last}
            await send(message)

        # With this extension, the server would send the file itself and ignore the messages of this middleware.
        extensions = {k: v for k, v in (scope.get("extensions") or {}).items() if k != "http.response.pathsend"}
        await self._app({**scope, "extensions": extensions}, receive, send_not_found)


class HostCheckMiddleware:
    """Refuse unknown host names (DNS rebinding) and web sockets that foreign pages open.

    Args:
        app: The application behind it.
        hosts: Names under which the dashboard is served.
        proxies: Further names, under which a proxy serves it to browsers.
    """

    def __init__(self, app: Application, hosts: Collection[str], proxies: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = {name_of(host) for host in (*hosts, *proxies)} - {""}
        # Loopback is no proxy's name: each port of it belongs to a different program with pages of its own.
        self._proxies = {name for host in proxies if (name := name_of(host)) and not _is_loopback(name)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan" or scope["path"] in PROBES or self._may_enter(scope):
            await self._app(scope, receive, send)
        else:
            await refuse(scope, send, b"This name is not in BACKWATCH_DASHBOARD_ALLOWED_HOSTS\n")

    def _may_enter(self, scope: Scope) -> bool:
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if _name(f"//{host}") not in self._hosts:
            return False
        if scope["type"] != "websocket" or origin is None:
            return True
        # A proxy may pass a different name than the browser uses: that name must be allowed explicitly.
        return origin.partition("://")[2] == host or _name(origin) in self._proxies


def name_of(host: str) -> str:
    """Return the name in a host with an optional port; empty if there is none.

    >>> name_of("Dash.example:8443"), name_of("[::1]:80"), name_of("::1"), name_of("https://dash.example")
    ('dash.example', '::1', '::1', '')
    """
    host = host.strip()
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    try:
        found = urlsplit(f"//{host}")
        rest = (found.path, found.query, found.fragment, found.username)
        name = (found.hostname or "").removesuffix(".")
        return name if rest == ("", "", "", None) and found.port != 0 and _NAME.fullmatch(name) else ""
    except ValueError:
        return ""


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
