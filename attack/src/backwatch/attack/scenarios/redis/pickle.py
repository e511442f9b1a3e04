"""D3 on redis and valkey: a cache of pickles returns one that runs a program."""

import pickle

from backwatch.attack.clients.redis import Redis, Valkey
from backwatch.attack.demo.services import redis as demo
from backwatch.attack.protocols.pickles import STATUS
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.pickle import ReadsPickles


class PickleCache(demo.DemoRedis):
    """Stores sessions. Its pickle reports that it ran."""

    command = f"exit {STATUS}"


class RedisPickle(ReadsPickles):
    """The app caches objects as Django and Flask-Caching do it."""

    server = PickleCache
    runs = (Run(Redis), Run(Valkey))

    def work(self) -> object:
        """Cache a session, and read it."""
        session = pickle.dumps({"basket": ["two apples"]})
        return pickle.loads(self.client.execute(("SET", "session:7", session, "EX", 60), ("GET", "session:7"))[1])
