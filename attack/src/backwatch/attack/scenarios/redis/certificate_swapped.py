"""A6 on redis: the client accepts another certificate of the same authority."""

from backwatch.attack.clients.redis import Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.certificate import CertificateSwapped


class RedisSwapped(CertificateSwapped):
    """redis-py checks chain and name, and pins nothing."""

    server = RedisServer
    runs = (Run(Redis),)
