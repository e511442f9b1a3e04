"""A6 on pika: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios.amqp.pickle_pika import AmqpPicklePika
from backwatch.attack.techniques.certificate import CertificateSwapped


class AmqpSwapped(CertificateSwapped, AmqpPicklePika):
    """pika has its context check chain and name, and remembers nothing."""

    honest = AMQP
