"""A bound of the pages that are open: each is a session of Streamlit's, with memory and a redrawing of its own."""

import logging
import time
from typing import Final

from backwatch.dashboard import index
from backwatch.dashboard.door import Application, Receive, Scope, Send

logger = logging.getLogger("backwatch")

LOG_AGAIN_S: Final = 60.0
RETRY_S: Final = 30


class SessionLimit:
    """Refuses a page, and a page's web socket, while as many are open as may be.

    Args:
        app: What is behind it.
        most: Web sockets that may be open at once.
    """

    def __init__(self, app: Application, most: int) -> None:
        self._app = app
        self._most = most
        self._open = 0
        self._logged_s = -LOG_AGAIN_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "websocket":
            if self._open < self._most:
                self._open += 1
                try:
                    await self._app(scope, receive, send)
                finally:
                    self._open -= 1
                return
        elif scope["type"] != "http" or self._open < self._most or not _is_page(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._refuse(scope, send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_AGAIN_S:
            self._logged_s = now_s
            logger.warning(
                "dashboard: BACKWATCH_DASHBOARD_SESSIONS=%d pages are open; further ones are refused", self._most
            )
        kind = "http.response"
        if scope["type"] == "websocket":
            kind = "websocket.http.response"
            if kind not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": 1013})
                return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", str(RETRY_S).encode())]
        text = (
            f"{self._most} pages are open, as many as BACKWATCH_DASHBOARD_SESSIONS allows: close one, and load again.\n"
        )
        await send({"type": f"{kind}.start", "status": 503, "headers": headers})
        await send({"type": f"{kind}.body", "body": text.encode()})


def _is_page(path: str) -> bool:
    return path.strip("/") in ("", *index.PAGES)
