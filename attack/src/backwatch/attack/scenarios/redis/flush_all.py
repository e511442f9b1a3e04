"""G3: a visitor empties Redis."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisFlushAll(RedisConsole):
    """FLUSHALL needs no confirmation."""

    code = "G3"
    attack = "destroys all that is stored"
    reference = "ATT&CK T1485; https://redis.io/docs/latest/commands/flushall/"
    rule = "data-destroyed"
    typed = (("FLUSHALL",),)
