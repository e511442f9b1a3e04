"""A6 on pika: the client accepts another certificate of the same authority."""

from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios.amqp.pickle_pika import AmqpPicklePika
from backwatch.attack.techniques.certificate import CertificateSwapped


class AmqpSwapped(CertificateSwapped, AmqpPicklePika):
    """pika has its context check chain and name, and pins nothing."""

    server = AMQP
