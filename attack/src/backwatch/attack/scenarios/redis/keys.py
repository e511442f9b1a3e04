"""G3: a visitor lists the contents of Redis."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisKeys(RedisConsole):
    """KEYS and CLIENT LIST show what can be stolen."""

    code = "G3"
    attack = "has all keys and all clients listed"
    reference = "ATT&CK T1082; https://redis.io/docs/latest/commands/keys/"
    rule = "redis-admin"
    typed = (("KEYS", "*"), ("CLIENT", "LIST"))
