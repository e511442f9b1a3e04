"""G3: a visitor looks at what there is in Redis."""

from backwatch.attack.entries import run
from backwatch.attack.entries._redis_console import RedisConsole


class RedisKeys(RedisConsole):
    """KEYS and CLIENT LIST tell what there is to take."""

    code = "G3"
    attack = "has all keys and all clients listed"
    reference = "ATT&CK T1082; https://redis.io/docs/latest/commands/keys/"
    rule = "redis-admin"
    typed = (("KEYS", "*"), ("CLIENT", "LIST"))


if __name__ == "__main__":
    run(RedisKeys)
