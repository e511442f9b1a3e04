"""A6 on pymemcache: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.scenarios.memcached.pickle import MemcachedPickle
from backwatch.attack.techniques.certificate import CertificateSwapped


class MemcachedSwapped(CertificateSwapped, MemcachedPickle):
    """pymemcache has its context check chain and name, and remembers nothing."""

    honest = Memcached
