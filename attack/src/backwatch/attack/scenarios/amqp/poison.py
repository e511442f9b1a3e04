"""E5: a broker delivers an unreadable message, again each time it is requeued."""

import json

from backwatch.attack.clients.aio_pika import AioPika
from backwatch.attack.clients.pika import Pika
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios import Run, Scenario

POISON = b'{"order": 7, "lines": ['
"""A truncated message."""
MAX_MESSAGES = 30
"""Maximum number of messages that a worker processes in the pack."""


class PoisonQueue(AMQP):
    """Delivers the truncated message, once hostile. Like a classic queue, it counts no deliveries."""

    def message(self, body: bytes) -> bytes:
        """Return the truncated or the honest message."""
        return POISON if self.hostile else super().message(body)


class AmqpPoison(Scenario):
    """A worker that requeues unreadable messages, so that no data is lost. It receives the same one again."""

    code = "E5"
    attack = "hands out an unreadable message, and the same again each time it is given back"
    reference = "https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling; ATT&CK T1499.004"
    notices = "work that is not done any more"
    rule = "redelivery-loop"
    server = PoisonQueue
    runs = (Run(AioPika, "aio-pika"), Run(Pika, "pika"))

    def work(self) -> object:
        """Queue an order, and process messages until the queue is empty."""
        return self.client.process(b'{"order": 7}', json.loads, MAX_MESSAGES)

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the worker processed nothing else."""
        del service
        return got == MAX_MESSAGES
