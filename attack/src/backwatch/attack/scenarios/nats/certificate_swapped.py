"""A6 on nats: the client accepts another certificate of the same authority."""

from backwatch.attack.scenarios.nats.pickle import NatsPickle
from backwatch.attack.techniques.certificate import CertificateSwapped


class NatsSwapped(CertificateSwapped, NatsPickle):
    """nats-py has its context check chain and name, and pins nothing."""
