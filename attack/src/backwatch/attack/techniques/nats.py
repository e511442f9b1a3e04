"""An app that publishes orders and receives them, on nats-py."""

import asyncio
from typing import Any

from backwatch.attack.protocols.nats import NATS
from backwatch.attack.scenarios import Scenario


class ReceivesOrders(Scenario):
    """An app that publishes an order, and receives it."""

    driver = "nats"
    server = NATS

    async def connect(self, host: str = "localhost", *, in_clear: bool = False, **options: Any) -> Any:
        """Return a connection, over verified TLS unless in plaintext."""
        import nats

        url = f"{'nats' if in_clear else 'tls'}://{host}:{self.config.port}"
        tls: dict[str, Any] = {} if in_clear else {"tls": self.tls_context()}
        return await nats.connect(url, **{"connect_timeout": 5, "allow_reconnect": False, **tls, **options})

    def receive(self, body: bytes, subject: str = "orders", host: str = "localhost", *, in_clear: bool = False) -> Any:
        """Publish a message, and return the one that arrives."""

        async def exchange() -> Any:
            client = await self.connect(host, in_clear=in_clear)
            subscription = await client.subscribe(subject)
            await client.publish(subject, body)
            message = await subscription.next_msg(timeout=5)
            await client.close()
            return message

        return asyncio.run(exchange())
