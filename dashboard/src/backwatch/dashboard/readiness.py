"""``/readyz`` of the dashboard's own port: whether the store answers, within a time that monitors wait."""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

WAIT_S: Final = 1.5
"""Longest wait for the store."""


class Readiness:
    """The question to the store, one at a time: a store that hangs holds one thread, however many monitors ask.

    Args:
        ask: Returns whether the store answers; may hang.
    """

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._pending: asyncio.Task[bool] | None = None

    async def respond(self, _request: Request) -> JSONResponse:
        """Answer the request."""
        state = await self.state()
        return JSONResponse({"store": state}, status_code=200 if state == "ok" else 503)

    async def state(self) -> str:
        """Return ``ok``, ``away``, or ``no reply`` while an answer is waited for."""
        if self._pending is None or self._pending.done():
            self._pending = asyncio.create_task(run_in_threadpool(self._ask))
        done, _ = await asyncio.wait({self._pending}, timeout=WAIT_S)
        if not done:
            return "no reply"
        return "ok" if self._pending.result() else "away"
