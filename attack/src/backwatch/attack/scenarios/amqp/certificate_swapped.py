"""A6 on pika: the client accepts another certificate of the same authority."""

from backwatch.attack.clients.pika import Pika
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.certificate import CertificateSwapped


class AmqpSwapped(CertificateSwapped):
    """pika has its context check chain and name, and pins nothing."""

    server = AMQP
    runs = (Run(Pika),)

    def work(self) -> object:
        """Queue an order, and take one."""
        return self.client.exchange_object({"order": 7})
