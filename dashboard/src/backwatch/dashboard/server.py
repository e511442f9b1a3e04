"""The dashboard's server: Streamlit behind the middleware of :mod:`backwatch.dashboard.middleware`."""

import errno
import os
import socket
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from backwatch.collector.settings import DashboardSettings, SettingError, StoreSettings, load
from backwatch.dashboard import index, palette
from backwatch.dashboard.access import LoginCheck, check_exposure, proxy_login
from backwatch.dashboard.middleware import Application, HostCheckMiddleware, SecurityHeaders, UnknownPaths, name_of
from backwatch.dashboard.readiness import Readiness
from backwatch.dashboard.session_limit import SessionLimit
from backwatch.store.monitoring.endpoint import start_monitoring
from backwatch.store.monitoring.loops import LoopMonitor

CLOSING_S: Final = 2
"""Seconds that open browsers may delay the shutdown."""


def hosts(settings: DashboardSettings) -> list[str]:
    """Return the names under which it is served, on any port; addresses without brackets, as Streamlit compares them.

    Raises:
        SettingError: An allowed host is not a host name.
    """
    allowed = [name_of(host) for host in settings.allowed_hosts]
    if not all(allowed):
        given = ",".join(settings.allowed_hosts)
        raise SettingError(f"BACKWATCH_DASHBOARD_ALLOWED_HOSTS={given!r}: not names of hosts between commas")
    return [settings.address, "localhost", "127.0.0.1", "::1", *allowed]


def configure(settings: DashboardSettings) -> None:
    """Configure Streamlit: no usage statistics, no error details, no export of raw tables."""
    from streamlit import config

    options: dict[str, Any] = {
        "server.headless": True, "server.address": settings.address, "server.port": settings.port,
        "server.fileWatcherType": "none", "server.enableAgentApi": False, "server.allowedHosts": hosts(settings),
        "server.enableStaticServing": False, "server.maxMessageSize": 20, "server.disconnectedSessionTTL": 30,
        "browser.gatherUsageStats": False, "client.showErrorDetails": "none", "client.showErrorLinks": False,
        "client.toolbarMode": "minimal", "client.disableDataExport": True, **palette.THEME,
    }  # fmt: skip
    for name, value in options.items():
        config.set_option(name, value)


def application(settings: DashboardSettings) -> Application:
    """Return the ASGI application."""
    import streamlit as st

    def start(_: Request) -> HTMLResponse:
        return HTMLResponse(index.page(), headers={"cache-control": "no-cache"})

    def to_start(_: Request) -> RedirectResponse:
        return RedirectResponse("./")  # Streamlit knows its first page by no name

    def ask_store() -> bool:
        from backwatch.dashboard.reads import store_answers

        return store_answers()

    def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    return st.App(
        Path(__file__).parent / "pages" / "app.py",
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HostCheckMiddleware, hosts=hosts(settings), proxies=settings.allowed_hosts),
            Middleware(LoginCheck, login=proxy_login(settings)),
            Middleware(SessionLimit, max_sessions=settings.sessions),
            Middleware(UnknownPaths),
        ],
        routes=[
            Route("/readyz", Readiness(ask_store).respond),
            Route("/healthz", alive),
            Route("/overview", to_start),
            *(Route(f"/{page}", start) for page in ("", *index.PAGES)),
        ],
    )


def listen(settings: DashboardSettings) -> socket.socket:
    """Return the socket to serve on.

    Raises:
        SettingError: The address is unusable, an allowed host is not a host name, or there is no login.
    """
    hosts(settings)
    proxy_login(settings)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={settings.address!r}: {error.strerror}") from None
    except UnicodeError:
        raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={settings.address!r}: is not a host name") from None
    check_exposure(settings, str(place[0]))
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={settings.address!r}: {error.strerror}") from None
        taken = f"another program listens there on {settings.address}"
        reason = taken if error.errno == errno.EADDRINUSE else error.strerror
        raise SettingError(f"BACKWATCH_DASHBOARD_PORT={settings.port}: {reason}") from None
    return listening


def serve(settings: DashboardSettings, listening: socket.socket) -> None:
    """Serve on the socket of :func:`listen` until stopped."""
    url = load(StoreSettings).url
    if url:
        os.environ["BACKWATCH_STORE_URL"] = url  # the pages read it again, in a thread that knows no flags
    configure(settings)
    loop = LoopMonitor("dashboard")

    async def count_turn() -> None:
        loop.turn()

    config = uvicorn.Config(
        application(settings), log_level="warning", server_header=False, ws_max_size=1 << 20,
        timeout_graceful_shutdown=CLOSING_S, callback_notify=count_turn, timeout_notify=1,
        proxy_headers=False,  # else X-Forwarded-For would decide from which address a request came
    )  # fmt: skip
    from backwatch.dashboard import reads  # which reads settings when it is imported

    monitoring = start_monitoring("dashboard", reads.store, (loop,))
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        if monitoring is not None:
            monitoring.close()
