"""Asynchronous openings leave the event loop to the app while a name is resolved."""

import asyncio
import time
from ipaddress import ip_address
from typing import Any

import pytest

from backwatch.resource.addresses import Place
from tests.resource.attaching import attach_url

SLOW_S = 0.3


@pytest.mark.parametrize(
    ("url", "kind", "driver"),
    [
        ("redis://cache.example/0", "aclient", "redis"), ("redis://cache.example/0", "apool", "redis"),
        ("mongodb://db.example/shop", "aclient", "pymongo"), ("https://api.example/", "aclient", "httpx"),
    ],
)  # fmt: skip
def test_slow_name_server_does_not_block_the_loop(
    url: str, kind: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int) -> list[Place]:
        time.sleep(SLOW_S)
        return [Place(host, ip_address("192.0.2.1"), port)]

    monkeypatch.setattr("backwatch.resource.addresses.resolve", resolve)

    async def open_and_count() -> int:
        opening: Any = asyncio.ensure_future(getattr(attach_url(url, driver=driver), kind)())
        turns = 0
        while not opening.done():
            await asyncio.sleep(0.01)
            turns += 1
        await opening
        return turns

    assert asyncio.run(open_and_count()) >= 10
