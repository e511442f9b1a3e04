"""E5 on aio_pika: ``message.process(requeue=True)``."""

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.poison import PATIENCE, GivesBack


class AmqpPoisonAioPika(GivesBack):
    """The context manager requeues a message when its handler raises."""

    driver = "aio_pika"

    def meet(self) -> object:
        """Queue an order, process messages until one succeeds, and return the failures."""
        import asyncio

        return asyncio.run(self._meet())

    async def _meet(self) -> object:
        import contextlib
        import json
        import ssl

        import aio_pika

        connection = await aio_pika.connect(
            host="localhost", port=self.config.port, login="shop", password=SECRET, ssl=True, timeout=5,
            ssl_context=ssl.create_default_context(cafile=self.config.ca_file),
        )  # fmt: skip
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("orders")
            await channel.default_exchange.publish(aio_pika.Message(b'{"order": 7}'), "orders")
            for failed in range(PATIENCE):
                message = await queue.get(timeout=5, fail=False)
                if message is None:
                    return failed
                with contextlib.suppress(ValueError):
                    async with message.process(requeue=True):
                        json.loads(message.body)
        return PATIENCE
