"""redis-py: alone, as a cluster's client and through Sentinel."""

from typing import Any

from backwatch.attack.clients import TIMEOUT_S, Client, given


class Redis(Client):
    """One server."""

    driver = "redis"

    def open(self, **options: Any) -> Any:
        """Return a client with these options instead of the defaults. ``None`` selects the driver's default."""
        return self.client_class()(**self.options(options))

    def client_class(self) -> Any:
        """Return the driver's class."""
        import redis

        return redis.Redis

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a verified session."""
        return given({
            "host": "localhost", "port": self.port, "ssl": True, "ssl_ca_certs": self.ca_file,
            "socket_timeout": TIMEOUT_S, **options,
        })  # fmt: skip

    @staticmethod
    def no_retry() -> Any:
        """Return a retry policy that tries once."""
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return Retry(NoBackoff(), 0)


class RedisCluster(Redis):
    """A cluster of one node at first. The client takes any host that MOVED names for a node."""

    def client_class(self) -> Any:
        """Return the driver's class."""
        from redis.cluster import RedisCluster as Cluster

        return Cluster


class RedisSentinel(Redis):
    """A master whose address a Sentinel names. Both share one port in the pack."""

    def open(self, **options: Any) -> Any:
        """Return a client of the master."""
        from redis.sentinel import Sentinel

        tls: Any = {"ssl": True, "ssl_ca_certs": self.ca_file, "socket_timeout": TIMEOUT_S}
        sentinel: Any = Sentinel([("localhost", self.port)], sentinel_kwargs=tls, **options, **tls)
        return sentinel.master_for("shop")
