"""The dashboard's server: Streamlit behind headers that let nothing in and nothing out.

``img-src 'self'`` is what stops a Markdown image that slipped through; ``frame-ancestors 'none'`` stops click-jacking; the allowed
hosts stop DNS rebinding, which Streamlit's own origin check lets pass.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from backwatch.collector.settings import DashboardSettings, StoreSettings, load

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY: Final = "; ".join((
    "default-src 'self'", "img-src 'self' data: blob:", "style-src 'self' 'unsafe-inline'",
    # Streamlit's bundle compiles Vega expressions and needs inline scripts and eval; they can load from nowhere else.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'", "font-src 'self' data:", "connect-src 'self'",
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
THEME: Final = {
    "theme.base": "dark",
    "theme.primaryColor": "#4cc2b0",
    "theme.backgroundColor": "#10161d",
    "theme.secondaryBackgroundColor": "#18212b",
    "theme.textColor": "#e3e9ee",
    "theme.borderColor": "#2a3642",
    "theme.font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    "theme.codeFont": "ui-monospace, 'SF Mono', 'JetBrains Mono', 'DejaVu Sans Mono', monospace",
    "theme.baseRadius": "6px",
    "theme.showWidgetBorder": True,
    "theme.paddingTop": "3.5rem",
    "theme.headingFontSizes": ["1.7rem", "1.25rem", "1.05rem", "1rem", "1rem", "1rem"],
}


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
        "client.toolbarMode": "minimal", "client.disableDataExport": True, **THEME,
    }  # fmt: skip
    for name, value in options.items():
        config.set_option(name, value)


def application() -> Application:
    """The ASGI application."""
    import streamlit as st
    from streamlit.runtime.pages_manager import PagesManager

    # Until somebody has been at the app's first page, Streamlit takes the folder ``pages`` for its older kind of pages,
    # and shows an empty one to whoever comes by a link to an alert.
    PagesManager.uses_pages_directory = False

    async def ready(_: Request) -> JSONResponse:
        from backwatch.dashboard.reads import store_answers

        good = store_answers()
        return JSONResponse({"store": "ok" if good else "away"}, status_code=200 if good else 503)

    return st.App(
        Path(__file__).with_name("app.py"), middleware=[Middleware(SecurityHeaders)], routes=[Route("/readyz", ready)]
    )


def serve(settings: DashboardSettings) -> None:
    """Serves until it is stopped."""
    os.environ["BACKWATCH_STORE_URL"] = load(StoreSettings).url or os.environ.get("BACKWATCH_STORE_URL", "")
    if not os.environ["BACKWATCH_STORE_URL"]:
        del os.environ["BACKWATCH_STORE_URL"]
    configure(settings)
    uvicorn.run(
        application(),
        host=settings.address,
        port=settings.port,
        log_level="warning",
        server_header=False,
        ws_max_size=1 << 20,
    )
