"""A6 on pymemcache: the client accepts another certificate of the same authority."""

from backwatch.attack.scenarios.memcached.pickle import MemcachedPickle
from backwatch.attack.techniques.certificate import CertificateSwapped


class MemcachedSwapped(CertificateSwapped, MemcachedPickle):
    """pymemcache has its context check chain and name, and pins nothing."""
