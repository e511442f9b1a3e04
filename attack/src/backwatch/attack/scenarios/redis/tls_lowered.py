"""A8 on redis: every client falls back to TLS 1.2 if the server supports nothing newer."""

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.old_tls import LoweredTls


class RedisTlsLowered(LoweredTls, RedisMoved):
    """redis-py checks chain and name, over any negotiated version."""

    server = RedisServer
