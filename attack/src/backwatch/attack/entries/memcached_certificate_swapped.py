"""A6 on pymemcache: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.memcached_pickle import MemcachedPickle
from backwatch.attack.protocols.memcached import Memcached


class MemcachedSwapped(CertificateSwapped, MemcachedPickle):
    """pymemcache has its context check chain and name, and remembers nothing."""

    honest = Memcached


if __name__ == "__main__":
    run(MemcachedSwapped)
