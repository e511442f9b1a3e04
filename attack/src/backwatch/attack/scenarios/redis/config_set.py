"""G1: a visitor has Redis write its data into cron's folder."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisConfigSet(RedisConsole):
    """CONFIG SET moves the dump into cron's folder."""

    code = "G1"
    attack = "has the server write its data where programs are started from"
    reference = "https://github.com/n0b0dyCN/redis-rogue-server; ATT&CK T1053.003"
    rule = "redis-reconfigured"
    typed = (("CONFIG", "SET", "dir", "/var/spool/cron"), ("CONFIG", "SET", "dbfilename", "root"))
