"""Typical calls of an app that uses aio-pika, and of one that uses aiormq itself, over verified TLS."""

import asyncio
import pickle
from collections.abc import Callable, Coroutine
from typing import Any

import aio_pika
import aiormq
from aiormq.exceptions import AMQPError

from tests.contract.exercises.pika import Bomb

SERVICES = ("rabbitmq",)
QUEUE = "exercise.aio"


def url(server: Any, *, tls: bool = True, password: str = "") -> str:
    word = password or server.password
    if tls:
        return f"amqps://{server.user}:{word}@{server.host}:{server.tls_port}/?cafile={server.ca_file}"
    return f"amqp://{server.user}:{word}@{server.host}:{server.port}/"


def calls(services: dict[str, Any]) -> list[object]:
    server = services["rabbitmq"]
    return [*asyncio.run(_by_aio_pika(server)), *asyncio.run(_by_aiormq(server))]


async def _by_aio_pika(server: Any) -> list[object]:
    seen: list[object] = []
    connection = await aio_pika.connect_robust(url(server))
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(QUEUE)
        await queue.purge()
        events = await channel.declare_exchange("exercise.aio.events", aio_pika.ExchangeType.TOPIC)
        await queue.bind(events, "order.*")
        await events.publish(aio_pika.Message(b"x" * 1000), "order.created")
        await channel.default_exchange.publish(aio_pika.Message(b"!" + pickle.dumps(Bomb())), QUEUE)
        for _ in range(2):
            message = await queue.get(timeout=10)
            await message.ack()
            seen.append(message.body)
        seen.append(await queue.get(fail=False, timeout=10))
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), QUEUE)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    seen.append(message.body)
                break
        await channel.default_exchange.publish(aio_pika.Message(b"broken"), QUEUE)
        for requeued in (True, False):
            message = await queue.get(timeout=10)
            await message.reject(requeue=requeued)
            seen.append(message.redelivered)
        await channel.default_exchange.publish(aio_pika.Message(b"purged"), QUEUE)
        seen.append((await queue.purge()).message_count)
        await queue.delete()
        await events.delete()
    return seen


async def _by_aiormq(server: Any) -> list[object]:
    seen: list[object] = []
    connection = await aiormq.connect(url(server, tls=False))
    channel = await connection.channel()
    try:
        await channel.basic_publish(b"back", routing_key="exercise.absent", mandatory=True)
    except AMQPError as error:
        seen.append(type(error))
    try:
        await channel.queue_declare("exercise.nothing", passive=True)
    except AMQPError as error:
        seen.append(type(error))
    await connection.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["rabbitmq"]

    def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[], object]:
        async def inner() -> None:
            connection = await aiormq.connect(url(server, tls=False))
            try:
                await work(await connection.channel())
            finally:
                await connection.close()

        return lambda: asyncio.run(inner())

    async def connect(address: str) -> None:
        await (await aiormq.connect(address)).close()

    return [
        lambda: asyncio.run(connect(url(server, tls=False, password="wrong"))),
        lambda: asyncio.run(connect("amqp://127.0.0.1:1/")),
        lambda: asyncio.run(connect(f"amqps://{server.host}:{server.tls_port}/")),
        run(lambda channel: channel.queue_declare("exercise.nothing", passive=True)),
        run(lambda channel: channel.basic_publish(17)),
        run(lambda channel: channel.basic_publish()),
        run(lambda channel: channel.basic_publish(b"x", exchange="exercise.nowhere")),
        run(lambda channel: channel.basic_get("exercise.nothing")),
    ]
