"""G6: an attacker abuses a broker through an app that forwards a visitor's choice. The broker stays honest."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class AbusedBroker(Scenario):
    """An app that queues orders, on pika, and has a page to manage its queues."""

    code = "G6"
    driver = "pika"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the broker, which records each request."""
        service = AMQP(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        service.kept.clear()

    def hand_on(self, operation: str, *arguments: str) -> None:
        """Run a visitor's operation, as the page allows."""
        import ssl

        import pika

        context = ssl.create_default_context(cafile=self.config.ca_file)
        parameters = pika.ConnectionParameters(
            host="localhost", port=self.config.port, credentials=pika.PlainCredentials("shop", SECRET),
            ssl_options=pika.SSLOptions(context, "localhost"), socket_timeout=5, blocked_connection_timeout=5,
        )  # fmt: skip
        with pika.BlockingConnection(parameters) as connection:
            channel: Any = connection.channel()
            channel.basic_publish("", "orders", b"two apples")
            getattr(channel, operation)(*arguments)

    def work(self) -> None:
        """Look up a queue's length as a visitor."""
        self.hand_on("queue_declare", "orders")
