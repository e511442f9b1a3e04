"""pika, with a blocking connection."""

from collections.abc import Callable
from typing import Any

from backwatch.attack.clients import TIMEOUT_S
from backwatch.attack.clients.amqp import AmqpClient
from backwatch.attack.protocols.server import SECRET


class Pika(AmqpClient):
    """Uses TLS only with ``ssl_options``. ``basic_nack`` requeues by default."""

    driver = "pika"

    def connect(self, host: str = "localhost", *, tls: bool = True) -> Any:
        """Return a new connection."""
        import pika

        return pika.BlockingConnection(
            pika.ConnectionParameters(
                host=host, port=self.port, credentials=pika.PlainCredentials("shop", SECRET),
                ssl_options=pika.SSLOptions(self.tls_context(), host) if tls else None, socket_timeout=TIMEOUT_S,
                blocked_connection_timeout=TIMEOUT_S,
            )
        )  # fmt: skip

    def exchange(self, body: bytes, host: str = "localhost", *, tls: bool = True) -> bytes:
        """Queue a message and return the body of the next one."""
        with self.connect(host, tls=tls) as connection:
            channel = connection.channel()
            channel.queue_declare("orders")
            channel.basic_publish("", "orders", body)
            _, _, got = channel.basic_get("orders", auto_ack=True)
            return got or b""

    def process(self, body: bytes, handle: Callable[[bytes], object], most: int) -> int:
        """Queue a message, then give each next one to ``handle``; a message at which it raises is queued again."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.queue_declare("orders")
            channel.basic_publish("", "orders", body)
            for taken in range(most):
                method, _, got = channel.basic_get("orders")
                if method is None:
                    return taken
                try:
                    handle(got or b"")
                except ValueError:
                    channel.basic_nack(method.delivery_tag)
                else:
                    channel.basic_ack(method.delivery_tag)
        return most
