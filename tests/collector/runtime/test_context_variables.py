"""A pending coroutine that its loop closes in another context: its exceptions stay the app's own."""

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from contextlib import closing
from functools import partial
from typing import Any

import aiormq
import httpcore
import httpx
import pytest
from pymongo.pool_options import PoolOptions
from pymongo.synchronous.pool import Pool

from backwatch.collector.probes.aiokafka.observer import AiokafkaCallObserver, current_poll, current_send
from backwatch.collector.probes.aiormq.observer import AiormqCallObserver
from backwatch.collector.probes.families.http.claims import CURRENT_CLAIM, Claim, take_claim
from backwatch.collector.probes.families.httpcore.observer import HttpcoreCallObserver
from backwatch.collector.probes.families.search.observer import SearchCallObserver
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.nats.observer import NatsCallObserver
from backwatch.collector.probes.nats.state import current_call
from backwatch.collector.probes.pymongo.observer import MongoCallObserver
from backwatch.collector.probes.toolkit.hooks import Decorator, async_call_hook
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.context_variables import reset_variable
from tests.collector.probes.recording import Recording, watching

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


class Never:
    """An awaitable that never ends."""

    def __await__(self) -> Generator[None]:
        yield


class Client:
    """A stand-in for any driver: its calls never return, and it is its own client, cluster and connection."""

    _current_server = None
    _inbox_prefix = b"_INBOX"
    _remote_origin = httpcore.Origin(b"https", b"elsewhere", 443)

    def __init__(self) -> None:
        self.client = self.cluster = self

    async def ask(self, *_args: Any, **_options: Any) -> None:
        await Never()


def list_raised_when_left_pending(asking: Coroutine[Any, Any, Any]) -> list[type[BaseException]]:
    """Return the app's view of its call, whose coroutine begins in one context and is closed in another."""
    seen: list[type[BaseException]] = []

    async def app() -> None:
        try:
            await asking
        except BaseException as error:
            seen.append(type(error))
            raise

    one = app()
    contextvars.copy_context().run(one.send, None)
    one.close()
    return seen


def test_a_variable_is_put_back_and_in_another_context_left_alone() -> None:
    token = number.set(1)
    reset_variable(number, token)
    assert number.get() == 0
    elsewhere = contextvars.copy_context().run(number.set, 1)
    reset_variable(number, elsewhere)
    assert number.get() == 0


def test_pending_httpx_request_ends_as_without_backwatch() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await Never()
            raise AssertionError(request)

    with watching(HttpxProbe):
        assert list_raised_when_left_pending(httpx.AsyncClient(transport=Silent()).get("http://localhost/")) == [
            GeneratorExit
        ]


def test_a_pending_claim_ends_as_without_the_collector() -> None:
    class Every(Claim):
        def covers(self, owner: Any, method: str, target: str) -> bool:
            return True

    hook = async_call_hook(lambda *_: Every(), scope=CURRENT_CLAIM)
    assert list_raised_when_left_pending(hook(Client.ask)(Client())) == [GeneratorExit]
    assert take_claim(None, "GET", "/") is None


aiokafka = AiokafkaCallObserver(Recording())
nats = NatsCallObserver(Recording())

httpcore_observer = HttpcoreCallObserver(Recording())
search = SearchCallObserver(Recording(), "elasticsearch", lambda: None, lambda result: result)
WRAPPERS: dict[str, Decorator] = {
    "httpcore's tunnel": async_call_hook(
        httpcore_observer.on_tunnel, httpcore_observer.on_tunnel_end, scope=httpcore_observer.tunnel
    ),
    "elasticsearch's endpoint": async_call_hook(lambda *_: "search", scope=search.endpoint),
    "elasticsearch's transport": async_call_hook(
        partial(search.on_call, ["method"]), search.on_call_end, scope=search.operation
    ),
    "aiokafka's send": async_call_hook(aiokafka.on_send, aiokafka.on_send_end, scope=current_send),
    "aiokafka's getone": async_call_hook(aiokafka.polls.on_poll, aiokafka.on_getone_end, scope=current_poll),
    "nats's publish": async_call_hook(partial(nats.on_publish, 3), nats.on_publish_end, scope=current_call),
    "nats's request": async_call_hook(partial(nats.on_publish, 4), nats.on_request_end, scope=current_call),
    "nats's subscribe": async_call_hook(nats.on_subscribe, nats.on_subscribe_end, scope=current_call),
}


@pytest.mark.parametrize("make", WRAPPERS.values(), ids=WRAPPERS)
def test_a_call_that_is_left_pending_ends_as_without_us(make: Decorator) -> None:
    assert list_raised_when_left_pending(make(Client.ask)(Client(), "orders")) == [GeneratorExit]


def test_a_pending_connection_is_recorded_and_is_no_fault() -> None:
    elsewhere, error = contextvars.copy_context(), GeneratorExit()
    recording = Recording()
    amqp = AiormqCallObserver(recording)
    with closing(asyncio.new_event_loop()) as loop:
        connection = aiormq.Connection("amqp://app@localhost:1/", loop=loop)
        attempt: Any = elsewhere.run(amqp.on_connect, connection, (), {})
        amqp.on_connect_end(connection, attempt, None, error)
    mongo = MongoCallObserver(recording)
    pool = Pool(("localhost", 1), PoolOptions())
    attempt = elsewhere.run(mongo.on_connect, pool, (), {})
    mongo.on_connect_end(pool, attempt, None, error)
    assert [(one.operation, one.session.system, one.error) for one in recording.calls] == [
        ("connect", "rabbitmq", error),
        ("connect", "mongodb", error),
    ]
    assert guard.swallowed == []
