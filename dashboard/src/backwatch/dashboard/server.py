"""The dashboard's server: Streamlit behind headers that let nothing in and nothing out.

``img-src 'self'`` is what stops a Markdown image that slipped through; ``frame-ancestors 'none'`` stops click-jacking;
the allowed hosts stop DNS rebinding, which Streamlit's own origin check lets pass.
"""

import errno
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from backwatch.collector.settings import DashboardSettings, SettingError, StoreSettings, load
from backwatch.dashboard import index, palette

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
CLOSING_S: Final = 2
"""How long open browsers may hold up the end."""


class SecurityHeaders:
    """Puts the headers on every answer."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in HEADERS}
                message["headers"] = [
                    pair for pair in message.get("headers", []) if pair[0].lower() not in ours
                ] + list(HEADERS)
            await send(message)

        await self._app(scope, receive, guarded)


def configure(settings: DashboardSettings) -> None:
    """Streamlit's own switches: nothing is told to anybody, errors show nothing, tables are not exported raw."""
    from streamlit import config

    hosts = [settings.address, "localhost", "127.0.0.1", "[::1]", *settings.allowed_hosts]
    options: dict[str, Any] = {
        "server.headless": True, "server.address": settings.address, "server.port": settings.port,
        "server.fileWatcherType": "none", "server.enableAgentApi": False, "server.allowedHosts": hosts,
        "server.enableStaticServing": False, "server.maxMessageSize": 20, "server.disconnectedSessionTTL": 30,
        "browser.gatherUsageStats": False, "client.showErrorDetails": "none", "client.showErrorLinks": False,
        "client.toolbarMode": "minimal", "client.disableDataExport": True, **palette.THEME,
    }  # fmt: skip
    for name, value in options.items():
        config.set_option(name, value)


def application() -> Application:
    """The ASGI application."""
    import streamlit as st

    def start(_: Request) -> HTMLResponse:
        return HTMLResponse(index.page(), headers={"cache-control": "no-cache"})

    def ready(_: Request) -> JSONResponse:
        from backwatch.dashboard.reads import store_answers

        good = store_answers()
        return JSONResponse({"store": "ok" if good else "away"}, status_code=200 if good else 503)

    return st.App(
        Path(__file__).with_name("app.py"),
        middleware=[Middleware(SecurityHeaders)],
        routes=[Route("/readyz", ready), *(Route(f"/{page}", start) for page in ("", *index.PAGES))],
    )


def listen(settings: DashboardSettings) -> socket.socket:
    """The socket to serve on.

    Raises:
        SettingError: Nobody can listen there.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={settings.address!r}: {error.strerror}") from None
    one = socket.socket(family, kind, protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(place)
        one.listen(128)
    except OSError as error:
        one.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={settings.address!r}: {error.strerror}") from None
        taken = f"another program listens there on {settings.address}"
        reason = taken if error.errno == errno.EADDRINUSE else error.strerror
        raise SettingError(f"BACKWATCH_DASHBOARD_PORT={settings.port}: {reason}") from None
    return one


def serve(settings: DashboardSettings) -> None:
    """Serves until it is stopped.

    Raises:
        SettingError: Nobody can listen there.
    """
    listening = listen(settings)
    url = load(StoreSettings).url
    if url:
        os.environ["BACKWATCH_STORE_URL"] = url  # the pages read it again, in a thread that knows no flags
    configure(settings)
    config = uvicorn.Config(
        application(), log_level="warning", server_header=False, ws_max_size=1 << 20,
        timeout_graceful_shutdown=CLOSING_S,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])
