"""A8 on redis: every client goes back to TLS 1.2 with whoever speaks nothing newer."""

from backwatch.attack.entries import run
from backwatch.attack.entries._old_tls import LoweredTls
from backwatch.attack.entries.redis_moved import RedisMoved
from backwatch.attack.protocols.redis import RedisServer


class RedisTlsLowered(LoweredTls, RedisMoved):
    """redis-py checks chain and name, over whatever version is agreed on."""

    honest = RedisServer


if __name__ == "__main__":
    run(RedisTlsLowered)
