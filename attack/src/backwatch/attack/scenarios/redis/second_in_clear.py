"""A1 on redis: the app attaches a second Redis by ``redis://``."""

from backwatch.attack.clients.redis import Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.second import AttachesInClear


class RedisSecond(AttachesInClear):
    """The URL lacks an ``s``, and the password can be read on the network."""

    server = RedisServer
    runs = (Run(Redis),)
