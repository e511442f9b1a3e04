"""G6: an attacker abuses a broker through an app that forwards a visitor's choice. The broker stays honest."""

from typing import Any, ClassVar

from backwatch.attack.clients.pika import Pika
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios import Run, Scenario


class AbusedBroker(Scenario):
    """An app that queues orders, and has a page to manage its queues.

    Attributes:
        chosen: Operation that the attacker chooses, with its arguments. ``captures`` is its number in AMQP.
    """

    code = "G6"
    server = AMQP
    stays_honest = True
    runs = (Run(Pika),)
    chosen: ClassVar[tuple[str, ...]]

    def work(self) -> object:
        """Look up a queue's length as a visitor."""
        return self.forward("queue_declare", "orders")

    def meet(self) -> object:
        """Choose the attacker's operation."""
        return self.forward(*self.chosen)

    def forward(self, operation: str, *arguments: str) -> None:
        """Run a visitor's operation, as the page allows."""
        with self.client.connect() as connection:
            channel: Any = connection.channel()
            channel.basic_publish("", "orders", b"two apples")
            getattr(channel, operation)(*arguments)
