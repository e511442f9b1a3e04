"""A1 on pika: a second broker is attached by ``amqp://``."""

from backwatch.attack.clients.pika import Pika
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.second import AttachesInClear


class AmqpSecond(AttachesInClear):
    """pika has no TLS unless it is given options for it; PLAIN sends the password itself."""

    server = AMQP
    runs = (Run(Pika),)
