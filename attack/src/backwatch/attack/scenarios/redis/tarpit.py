"""E1 on redis: the server accepts connections, and delays each reply."""

import time

from backwatch.attack.clients.redis import READ_BASKET, Redis
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.slow import DRIPS, EVERY_S, Waits


class Tarpit(RedisServer):
    """Reads baskets slowly, once hostile."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return an honest reply, late."""
        if self.hostile and verb == b"GET":
            time.sleep(DRIPS * EVERY_S)
        return super().answer(verb, command, talk)


class RedisTarpit(Waits):
    """redis-py waits without limit, unless ``socket_timeout`` is set."""

    attack = "takes seconds over an answer, and keeps the app waiting"
    reference = "ATT&CK T1499.004; https://redis.io/docs/latest/develop/clients/redis-py/produsage/"
    server = Tarpit
    runs = (Run(Redis),)

    def work(self) -> None:
        """Read a basket."""
        self.client.execute(READ_BASKET, socket_timeout=10)
