"""D4 on aio_pika: a queue delivers a pickle that runs a program."""

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.amqp_pickle import QueuesPickles


class AmqpPickleAioPika(QueuesPickles):
    """The same worker on asyncio."""

    driver = "aio_pika"

    def meet(self) -> object:
        """Queue an order, and take one."""
        import asyncio

        return asyncio.run(self._meet())

    async def _meet(self) -> object:
        import pickle
        import ssl

        import aio_pika

        context = ssl.create_default_context(cafile=self.config.ca_file)
        connection = await aio_pika.connect(
            host="localhost", port=self.config.port, login="shop", password=SECRET, ssl=True, ssl_context=context,
            timeout=5,
        )  # fmt: skip
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("orders")
            message = aio_pika.Message(pickle.dumps({"order": 7}))
            await channel.default_exchange.publish(message, routing_key="orders", timeout=5)
            taken = await queue.get(timeout=5)
            await taken.ack()
            return pickle.loads(taken.body)
