"""A6 on redis: the client accepts another certificate of the same authority."""

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.certificate import CertificateSwapped


class RedisSwapped(CertificateSwapped, RedisMoved):
    """redis-py checks chain and name, and pins nothing."""

    server = RedisServer
