"""Limit of open pages: each is a Streamlit session with its own memory and redrawing."""

import logging
import time
from typing import Final

from backwatch.dashboard import index
from backwatch.dashboard.middleware import Application, Receive, Scope, Send

logger = logging.getLogger("backwatch")

LOG_AGAIN_S: Final = 60.0
RETRY_S: Final = 30


class SessionLimit:
    """Refuse a page and its web socket while the limit is reached.

    Args:
        app: The application behind it.
        max_sessions: Web sockets that may be open at once.
    """

    def __init__(self, app: Application, max_sessions: int) -> None:
        self._app = app
        self._max_sessions = max_sessions
        self._open = 0
        self._logged_s = -LOG_AGAIN_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "websocket":
            if self._open < self._max_sessions:
                self._open += 1
                try:
                    await self._app(scope, receive, send)
                finally:
                    self._open -= 1
                return
        elif scope["type"] != "http" or self._open < self._max_sessions or not _is_page(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._refuse(scope, send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_AGAIN_S:
            self._logged_s = now_s
            logger.warning(
                "dashboard: BACKWATCH_DASHBOARD_SESSIONS=%d pages are open; further ones are refused",
                self._max_sessions,
            )
        kind = "http.response"
        if scope["type"] == "websocket":
            kind = "websocket.http.response"
            if kind not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": 1013})
                return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", str(RETRY_S).encode())]
        text = (
            f"{self._max_sessions} pages are open, the limit of BACKWATCH_DASHBOARD_SESSIONS: close one and reload.\n"
        )
        await send({"type": f"{kind}.start", "status": 503, "headers": headers})
        await send({"type": f"{kind}.body", "body": text.encode()})


def _is_page(path: str) -> bool:
    return path.strip("/") in ("", *index.PAGES)
