"""A6 on pika: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.amqp_pickle_pika import AmqpPicklePika
from backwatch.attack.protocols.amqp import AMQP


class AmqpSwapped(CertificateSwapped, AmqpPicklePika):
    """pika has its context check chain and name, and remembers nothing."""

    honest = AMQP


if __name__ == "__main__":
    run(AmqpSwapped)
