"""Typical calls of an app that uses nats-py, over TLS with a login."""

import asyncio
import pickle
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import nats
from nats.errors import MaxPayloadError, NoRespondersError

from backwatch.attack.scenarios.nats.other_subject import OtherSubjectNats
from tests.contract.exercises.kafka import Bomb
from tests.services.faults.hostile import hostile
from tests.services.server import Server

SERVICES = ("nats",)
STREAM = "exercise"


async def nothing(error: Exception) -> None:
    """Ignore an error that the driver would otherwise log."""


async def connect(server: Server, **more: Any) -> Any:
    """Connect over verified TLS, with a login."""
    options: dict[str, Any] = {
        "tls": ssl.create_default_context(cafile=server.ca_file), "user": server.user, "password": server.password,
        "error_cb": nothing, "allow_reconnect": False, **more,
    }  # fmt: skip
    return await nats.connect(f"tls://localhost:{server.tls_port}", **options)


def calls(services: dict[str, Any]) -> list[object]:
    with hostile(OtherSubjectNats) as (service, ca_file):
        return [*asyncio.run(_all(services["nats"])), asyncio.run(_of_another(service.port, ca_file))]


async def _of_another(port: int, ca_file: str) -> object:
    """Receive from a server that delivers under another subject."""
    client = await nats.connect(f"tls://localhost:{port}", tls=ssl.create_default_context(cafile=ca_file))
    subscription = await client.subscribe("orders.eu")
    await client.publish("orders.eu", b"order 7")
    message = await subscription.next_msg(timeout=10)
    await client.close()
    return message.subject


async def _all(server: Server) -> list[object]:
    client = await connect(server)
    seen = await _core(client)
    await client.drain()
    client = await nats.connect(server.url)  # JetStream is in the other one
    seen += await _stream(client)
    await client.close()
    return seen


async def _core(client: Any) -> list[object]:
    seen: list[object] = []
    orders = await client.subscribe("exercise.orders.*")

    async def answer(message: Any) -> None:
        await message.respond(b"answer to " + message.data)

    await client.subscribe("exercise.questions", cb=answer)
    await client.publish("exercise.orders.new", b"a" * 500)
    await client.publish(subject="exercise.orders.new", payload=b"!" + pickle.dumps(Bomb()), headers={"h": "1"})
    for _ in range(2):
        message = await orders.next_msg(timeout=10)
        seen.append((message.subject, message.data, message.headers))
    seen.append((await client.request("exercise.questions", b"one", timeout=10)).data)
    seen.append((await client.request("exercise.questions", b"two", timeout=10, old_style=True)).data)
    try:
        await client.request("exercise.absent", b"", timeout=10)
    except NoRespondersError as error:
        seen.append(type(error).__name__)
    try:
        await client.publish("exercise.orders.new", b"x" * 2_000_000)
    except MaxPayloadError as error:
        seen.append(type(error).__name__)
    await orders.unsubscribe()
    return seen


async def _stream(client: Any) -> list[object]:
    seen: list[object] = []
    stream = client.jetstream(timeout=10)
    await stream.add_stream(name=STREAM, subjects=["exercise.stream.>"])
    seen += [(await stream.publish("exercise.stream.a", b"%d" % at)).seq for at in range(3)]
    pulling = await stream.pull_subscribe("exercise.stream.>", "exercise")
    for message in await pulling.fetch(3, timeout=10):
        seen.append((message.subject, message.data))
        await message.ack()
    await stream.publish("exercise.stream.a", b"broken")
    for _ in range(2):
        (message,) = await pulling.fetch(1, timeout=10)
        seen.append(message.metadata.num_delivered)
        await message.nak()
    await stream.delete_stream(STREAM)
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server: Server = services["nats"]

    async def nowhere() -> object:
        return await nats.connect(
            "nats://localhost:1", error_cb=nothing, max_reconnect_attempts=1, reconnect_time_wait=0
        )

    async def unverified() -> object:
        return await connect(server, tls=ssl.create_default_context())

    async def unheard() -> object:
        client = await connect(server)
        try:
            return await client.request("exercise.absent", b"", timeout=10)
        finally:
            await client.close()

    async def wrong(subject: str, payload: Any) -> object:
        client = await connect(server)
        try:
            return await client.publish(subject, payload)
        finally:
            await client.close()

    async def closed() -> object:
        client = await connect(server)
        await client.close()
        return await client.publish("exercise.orders.new", b"")

    async def no_stream() -> object:
        client = await nats.connect(server.url)
        try:
            return await client.jetstream(timeout=10).publish("exercise.no.stream", b"")
        finally:
            await client.close()

    def run(coroutine: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> Callable[[], object]:
        return lambda: asyncio.run(coroutine(*args))

    return [
        run(nowhere), run(unverified), run(unheard), run(wrong, "exercise.a", b"x" * 2_000_000), run(wrong, "", b""),
        run(wrong, "exercise.a", 5), run(closed), run(no_stream),
    ]  # fmt: skip
