"""Short waits and fixed randomness, for the bare app and the observed one.

Attacks are made smaller, and clients that connect again wait less in between. No response changes because of it.
"""

import asyncio
import functools
import gzip
import importlib
import os
import random
import secrets
import socket
import sys
import time
from typing import Any

from backwatch.attack.authority import Certificate
from backwatch.attack.protocols import pickles

LONGEST_SLEEP_S = 0.02
PATIENCE_S = 1.0
"""A client's, for one answer."""
HANGS_S = 3.0
"""After which an app on asyncio is taken to wait for ever."""
PACK = "backwatch.attack.scenarios."
TECHNIQUES = "backwatch.attack.techniques."
SMALLER: dict[str, Any] = {
    f"{PACK}http.bomb.SIZE": 1 << 16,
    f"{PACK}http.flood.LENGTH": 1 << 16,
    f"{PACK}memcached.value_flood.LENGTH": 1 << 16,
    f"{PACK}redis.value_flood.LENGTH": 1 << 16,
    f"{PACK}sql.result_flood.MANY": 500,
    f"{PACK}postgresql.notice_flood.MANY": 100,
    f"{TECHNIQUES}sql.FailingLookup.tries": 2,
    f"{PACK}smtp.mass_mail.MANY": 2,
    f"{TECHNIQUES}slow.EVERY_S": 0.001,
    f"{TECHNIQUES}refused_logins.GUESSES": ("summer2024",),
    "backwatch.attack.protocols.postgresql.HonestPostgreSQL.iterations": 16,
    f"{PACK}postgresql.scram_bomb.rounds_of": lambda _seconds: 5_000,  # pyright: ignore[reportUnknownLambdaType]
}
"""What makes an attack one: sizes."""


ASKED: dict[str, dict[str, Any]] = {
    "pymongo.MongoClient.__init__": {"serverSelectionTimeoutMS": 400},
    "kafka.KafkaProducer.__init__": {"max_block_ms": 700, "request_timeout_ms": 700},
    "nats.aio.subscription.Subscription.next_msg": {"timeout": 0.3},
}
"""Clients that wait by their own clocks, and what they are asked for in place of what the entry asks for."""


def hurry() -> None:
    """Apply from now on; before any client and scenario is imported, because they bind such functions by name."""
    slept, slept_in_loop = time.sleep, asyncio.sleep
    time.sleep = lambda seconds, /: slept(min(float(seconds), LONGEST_SLEEP_S))
    asyncio.sleep = lambda delay, result=None: slept_in_loop(min(delay, LONGEST_SLEEP_S), result)
    secrets.token_bytes = lambda nbytes=None: random.Random(nbytes).randbytes(nbytes or 32)
    gzip.compress = functools.cache(functools.partial(gzip.compress, mtime=0))
    Certificate.server_context = functools.cache(Certificate.server_context)
    _disarm()
    _shorten_waits()
    for name, value in SMALLER.items():
        module, attribute = _find_owner(name)
        assert hasattr(module, attribute), name
        setattr(module, attribute, value)


def _disarm() -> None:
    """Run no program: after a mutation, a pickle may contain any command."""

    def system(command: Any) -> int:
        return pickles.RAN if command == f"exit {pickles.STATUS}" else os.EX_UNAVAILABLE << 8

    system.__module__, system.__qualname__ = os.name, "system"  # by which pickles name it
    sys.modules[system.__module__].system = os.system = system  # pyright: ignore[reportAttributeAccessIssue, reportDeprecated]


def hurry_clients() -> None:
    """Apply once they are imported."""
    for name, asked in ASKED.items():
        owner, attribute = _find_owner(name)
        setattr(owner, attribute, _wrap_with(getattr(owner, attribute), asked))
    for name in ("redis.retry", "valkey.retry"):  # a retry receives the same reply
        kind = importlib.import_module(name).Retry
        kind.call_with_retry = _once(kind.call_with_retry)
    kombu: Any = importlib.import_module("kombu.connection")
    kombu.retry_over_time = _hardly_again(kombu.retry_over_time)
    kafka: Any = importlib.import_module("kafka.net.manager").KafkaConnectionManager
    kafka.update_backoff = _hardly_at_first(kafka.update_backoff)
    pymongo: Any = importlib.import_module("pymongo.common")
    pymongo.MIN_HEARTBEAT_INTERVAL = LONGEST_SLEEP_S


def _find_owner(name: str) -> tuple[Any, str]:
    """Return a module or class, and a name in it."""
    owner, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(owner), attribute
    except ModuleNotFoundError:
        module, kind = _find_owner(owner)
        return getattr(module, kind), attribute


def _shorten_waits() -> None:
    sockets: Any = socket.socket
    settimeout, connect = sockets.settimeout, sockets.connect

    def connect_without_delay(self: Any, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):  # or a message in two parts takes 40 ms
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connect(self, address)

    sockets.connect = connect_without_delay
    sockets.settimeout = lambda self, value: settimeout(self, value and min(value, PATIENCE_S))
    loops: Any = asyncio.BaseEventLoop
    call_at, run = loops.call_at, asyncio.run
    loops.call_at = lambda self, when, *args, **kwargs: call_at(
        self, min(when, self.time() + PATIENCE_S), *args, **kwargs
    )

    async def in_time(main: Any) -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
        call_at(loop, loop.time() + HANGS_S, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            raise TimeoutError("it waits for ever") from None

    asyncio.run = lambda main, **options: run(in_time(main), **options)


def _wrap_with(function: Any, asked: dict[str, Any]) -> Any:
    @functools.wraps(function)
    def asking(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs | asked)

    return asking


def _hardly_again(tried: Any) -> Any:
    def hardly(
        fun: Any, catch: Any, args: Any = None, kwargs: Any = None, errback: Any = None, max_retries: Any = None,
        *more: Any, **named: Any,
    ) -> Any:  # fmt: skip
        del max_retries
        return tried(fun, catch, args, kwargs, errback, 1, *more, **named)

    return hardly


def _hardly_at_first(failed: Any) -> Any:
    def update_backoff(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.failed = getattr(self, "failed", 0) + 1
        if self.failed > 1 and not self.bootstrapped:
            raise importlib.import_module("kafka.errors").KafkaTimeoutError("Unable to bootstrap")
        return failed(self, *args, **kwargs)

    return update_backoff


def _once(tried: Any) -> Any:
    def once(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._retries = 0
        return tried(self, *args, **kwargs)

    return once
