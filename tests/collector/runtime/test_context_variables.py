"""A coroutine that its loop left pending is closed in another context: what is raised there stays the app's own."""

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from contextlib import closing
from typing import Any

import aiormq
import httpcore
import httpx
import pytest
from pymongo.pool_options import PoolOptions
from pymongo.synchronous.pool import Pool

from backwatch.collector.probes import aiokafka, nats
from backwatch.collector.probes.aiokafka import wraps
from backwatch.collector.probes.aiokafka.calls import AiokafkaWatch
from backwatch.collector.probes.aiormq import calls as aiormq_calls
from backwatch.collector.probes.families.http.claims import Claim, claim_of, claiming
from backwatch.collector.probes.families.httpcore import hooks
from backwatch.collector.probes.families.httpcore.calls import Watch
from backwatch.collector.probes.families.search.calls import Watch as SearchWatch
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.nats.calls import NatsWatch
from backwatch.collector.probes.pymongo import calls as pymongo_calls
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.context_variables import reset_variable
from tests.collector.probes.recording import Recording, watching

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


class Never:
    """What is awaited for ever."""

    def __await__(self) -> Generator[None]:
        yield


class Client:
    """Of any driver: what it is asked is never answered, and it is its own client, cluster and connection."""

    _current_server = None
    _inbox_prefix = b"_INBOX"
    _remote_origin = httpcore.Origin(b"https", b"elsewhere", 443)

    def __init__(self) -> None:
        self.client = self.cluster = self

    async def ask(self, *_args: Any, **_options: Any) -> None:
        await Never()


def raised_when_left_pending(asking: Coroutine[Any, Any, Any]) -> list[type[BaseException]]:
    """What the app sees of its own call, whose coroutine is begun in one context and closed in another."""
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


def test_a_request_of_httpx_that_is_left_pending_ends_as_without_us() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await Never()
            raise AssertionError(request)

    with watching(HttpxProbe):
        assert raised_when_left_pending(httpx.AsyncClient(transport=Silent()).get("http://localhost/")) == [
            GeneratorExit
        ]


def test_a_pending_claim_ends_as_without_the_collector() -> None:
    class Every(Claim):
        def covers(self, owner: Any, method: str, target: str) -> bool:
            return True

    async def asking() -> None:
        with claiming(Every()):
            await Never()

    assert raised_when_left_pending(asking()) == [GeneratorExit]
    assert claim_of(None, "GET", "/") is None


def aiokafka_watch() -> AiokafkaWatch:
    return AiokafkaWatch(Recording())


def nats_watch() -> NatsWatch:
    return NatsWatch(Recording())


WRAPPERS: dict[str, Make] = {
    "httpcore's tunnel": hooks._through_a_proxy(Watch(Recording()), waits=True),
    "aiokafka's send": aiokafka._sending(aiokafka_watch()),
    "aiokafka's getone": aiokafka._polling(aiokafka_watch(), many=False),
    "aiokafka's commit": aiokafka._asking(aiokafka_watch(), "commit"),
    "aiokafka's connections": wraps._opening(aiokafka_watch()),
    "nats's servers": nats._selecting(nats_watch()),
    "nats's publish": nats._publishing(nats_watch(), lambda it: it, 3),
    "nats's request": nats._requesting(nats_watch()),
    "nats's subscribe": nats._subscribing(nats_watch()),
}


@pytest.mark.parametrize("make", WRAPPERS.values(), ids=WRAPPERS)
def test_a_call_that_is_left_pending_ends_as_without_us(make: Make) -> None:
    assert raised_when_left_pending(make(Client.ask)(Client(), "orders")) == [GeneratorExit]


def test_a_pending_connection_is_recorded_and_is_no_fault() -> None:
    elsewhere, error = contextvars.copy_context(), GeneratorExit()
    recording = Recording()
    amqp: Any = aiormq_calls.Watch(recording)
    with closing(asyncio.new_event_loop()) as loop:
        connection = aiormq.Connection("amqp://app@localhost:1/", loop=loop)
        amqp.connected(connection, elsewhere.run(amqp.connecting), error)
    mongo: Any = pymongo_calls.Watch(recording)
    pool = Pool(("localhost", 1), PoolOptions())
    mongo.connect_failed(pool, elsewhere.run(mongo.connecting, pool, (), {}), error)
    assert [(one.operation, one.session.system, one.error) for one in recording.calls] == [
        ("connect", "rabbitmq", error),
        ("connect", "mongodb", error),
    ]
    assert guard.swallowed == []


def test_a_pending_search_is_no_fault() -> None:
    watch: Any = SearchWatch(Recording(), "elasticsearch", lambda: None)
    elsewhere = contextvars.copy_context()
    watch.named(elsewhere.run(watch.naming, "search"))
    watch.done(elsewhere.run(watch.begin, Client(), "GET", "/", None, None), None)
    assert guard.swallowed == []
