"""G3: a visitor looks at what there is in Redis."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisKeys(RedisConsole):
    """KEYS and CLIENT LIST tell what there is to take."""

    code = "G3"
    attack = "has all keys and all clients listed"
    reference = "ATT&CK T1082; https://redis.io/docs/latest/commands/keys/"
    rule = "redis-admin"
    typed = (("KEYS", "*"), ("CLIENT", "LIST"))
