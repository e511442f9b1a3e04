"""A6 on redis: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.redis_moved import RedisMoved
from backwatch.attack.protocols.redis import RedisServer


class RedisSwapped(CertificateSwapped, RedisMoved):
    """redis-py checks chain and name, and remembers nothing."""

    honest = RedisServer


if __name__ == "__main__":
    run(RedisSwapped)
