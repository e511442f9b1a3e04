"""A6 on nats: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.nats import NATS
from backwatch.attack.scenarios.nats.pickle import NatsPickle
from backwatch.attack.techniques.certificate import CertificateSwapped


class NatsSwapped(CertificateSwapped, NatsPickle):
    """nats-py has its context check chain and name, and remembers nothing."""

    honest = NATS
