"""The dashboard's ``/readyz`` while its store hangs."""

import asyncio
import threading
import time

from backwatch.dashboard.readiness import Readiness


def test_hanging_store_holds_one_thread_for_any_number_of_requests() -> None:
    release, asked = threading.Event(), list[float]()

    def ask() -> bool:
        asked.append(time.monotonic())
        return release.wait(60)

    async def ask_often() -> tuple[list[str], float, str, str]:
        readiness, begin_s = Readiness(ask), time.monotonic()
        states = await asyncio.gather(*(readiness.state() for _ in range(100)))
        took_s = time.monotonic() - begin_s
        release.set()
        return states, took_s, await readiness.state(), await readiness.state()

    states, took_s, *later = asyncio.run(ask_often())
    assert set(states) == {"no reply"}
    assert took_s < 2
    assert len(asked) == 2  # the one that hung, and one once it was done
    assert later == ["ok", "ok"]


def test_unavailable_store_is_not_a_hanging_store() -> None:
    async def ask() -> str:
        return await Readiness(lambda: False).state()

    assert asyncio.run(ask()) == "away"
