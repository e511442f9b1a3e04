"""aio_pika, on an event loop and a connection of its own for each exchange."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from backwatch.attack.clients import TIMEOUT_S
from backwatch.attack.clients.amqp import AmqpClient
from backwatch.attack.protocols.server import SECRET


class AioPika(AmqpClient):
    """Requeues a message by ``process(requeue=True)`` when its handler raises."""

    driver = "aio_pika"

    @contextlib.asynccontextmanager
    async def queue(self, body: bytes, host: str = "localhost", *, tls: bool = True) -> AsyncGenerator[Any]:
        """Queue a message on a new connection and yield the queue."""
        import aio_pika

        connection = await aio_pika.connect(
            host=host, port=self.port, login="shop", password=SECRET, ssl=tls, ssl_context=self.tls_context(),
            timeout=TIMEOUT_S,
        )  # fmt: skip
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("orders")
            await channel.default_exchange.publish(aio_pika.Message(body), routing_key="orders", timeout=TIMEOUT_S)
            yield queue

    def exchange(self, body: bytes, host: str = "localhost", *, tls: bool = True) -> bytes:
        """Queue a message and return the body of the next one."""
        return asyncio.run(self._exchange(body, host, tls=tls))

    async def _exchange(self, body: bytes, host: str, *, tls: bool) -> bytes:
        async with self.queue(body, host, tls=tls) as queue:
            message = await queue.get(timeout=TIMEOUT_S)
            await message.ack()
            return message.body

    def process(self, body: bytes, handle: Callable[[bytes], object], most: int) -> int:
        """Queue a message, then give each next one to ``handle``; a message at which it raises is queued again."""
        return asyncio.run(self._process(body, handle, most))

    async def _process(self, body: bytes, handle: Callable[[bytes], object], most: int) -> int:
        async with self.queue(body) as queue:
            for taken in range(most):
                message = await queue.get(timeout=TIMEOUT_S, fail=False)
                if message is None:
                    return taken
                with contextlib.suppress(ValueError):
                    async with message.process(requeue=True):
                        handle(message.body)
        return most
