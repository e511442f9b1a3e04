"""D3 on redis: a cache of pickles returns one that runs a program."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.redis import Redis
from backwatch.attack.protocols.pickles import STATUS
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.pickle import ReadsPickles


class RedisPickle(ReadsPickles):
    """The app caches objects as Django and Flask-Caching do it."""

    driver = "redis"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server whose pickle reports that it ran."""
        service = Redis(authority)
        service.command = f"exit {STATUS}"
        return service

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        import redis

        return redis.Redis(
            host="localhost", port=self.config.port, ssl=True, ssl_ca_certs=self.config.ca_file, socket_timeout=5
        )

    def work(self) -> None:
        """Cache a session, and read it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import pickle
        from contextlib import closing

        with closing(self.open_client()) as client:
            client.set("session:7", pickle.dumps({"basket": ["two apples"]}), ex=60)
            return pickle.loads(client.get("session:7"))
