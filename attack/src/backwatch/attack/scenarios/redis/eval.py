"""G2: a visitor runs Lua in Redis."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisEval(RedisConsole):
    """EVAL is the entry point for escapes from Redis's Lua sandbox."""

    code = "G2"
    attack = "runs a script in the server"
    reference = "CVE-2025-49844; ATT&CK T1059.011"
    rule = "redis-script"
    typed = (("EVAL", "return 1", "0"),)
