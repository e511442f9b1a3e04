"""G7: a visitor makes the consumers of a stream read it again from the start."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisStreamRewound(RedisConsole):
    """Every order of the stream is delivered again."""

    code = "G7"
    attack = "rewinds the consumers of a stream, so that every order is delivered again"
    reference = "https://redis.io/docs/latest/commands/xgroup-setid/; ATT&CK T1565.001"
    rule = "stream-admin"
    typed = (("XGROUP", "SETID", "orders", "shop", "0"),)
