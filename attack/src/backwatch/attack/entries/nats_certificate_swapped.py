"""A6 on nats: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.nats_pickle import NatsPickle
from backwatch.attack.protocols.nats import NATS


class NatsSwapped(CertificateSwapped, NatsPickle):
    """nats-py has its context check chain and name, and remembers nothing."""

    honest = NATS


if __name__ == "__main__":
    run(NatsSwapped)
