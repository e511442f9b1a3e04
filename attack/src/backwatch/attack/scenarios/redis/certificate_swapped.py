"""A6 on redis: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.certificate import CertificateSwapped


class RedisSwapped(CertificateSwapped, RedisMoved):
    """redis-py checks chain and name, and remembers nothing."""

    honest = RedisServer
