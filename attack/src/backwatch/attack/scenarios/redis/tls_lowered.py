"""A8 on redis: every client falls back to TLS 1.2 if the server supports nothing newer."""

from backwatch.attack.clients.redis import Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.old_tls import LoweredTls


class RedisTlsLowered(LoweredTls):
    """redis-py checks chain and name, over any negotiated version."""

    server = RedisServer
    runs = (Run(Redis),)
