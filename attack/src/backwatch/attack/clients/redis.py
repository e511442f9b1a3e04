"""redis-py, and Valkey's client with the same interface: alone, as a cluster's client and through Sentinel."""

import pkgutil
from contextlib import closing
from typing import Any, ClassVar

from backwatch.attack.clients import TIMEOUT_S, Client, given
from backwatch.attack.protocols.server import SECRET

Command = tuple[str | bytes | int, ...]
READ_BASKET: Command = ("GET", "basket:7")
STORE_BASKET: Command = ("SET", "basket:7", "two apples", "EX", 60)


class Redis(Client):
    """One server.

    Attributes:
        class_name: Full name of the driver's class.
    """

    driver = "redis"
    protocol = "redis"
    class_name: ClassVar[str] = "redis.Redis"

    def open(self, **options: Any) -> Any:
        """Return a client with these options instead of the defaults. ``None`` selects the driver's default."""
        return pkgutil.resolve_name(self.class_name)(
            **given({
                "host": "localhost", "port": self.port, "ssl": True, "ssl_ca_certs": self.ca_file,
                "socket_timeout": TIMEOUT_S, **options,
            })
        )  # fmt: skip

    def no_retry(self) -> dict[str, Any]:
        """Return the option with which the driver tries once."""
        no_backoff = pkgutil.resolve_name(f"{self.driver}.backoff.NoBackoff")
        return {"retry": pkgutil.resolve_name(f"{self.driver}.retry.Retry")(no_backoff(), 0)}

    def execute(self, *commands: Command, **options: Any) -> list[Any]:
        """Send commands on a new connection and return their replies."""
        with closing(self.open(**options)) as client:
            return [client.execute_command(*command) for command in commands]

    def visit(self, host: str = "localhost", *, tls: bool = True, **options: Any) -> object:
        """Log in, store a basket and return it."""
        return repr(self.execute(STORE_BASKET, READ_BASKET, host=host, ssl=tls, password=SECRET, **options)[-1])


class RedisCluster(Redis):
    """A cluster of one node at first. The client takes any host that MOVED names for a node."""

    class_name = "redis.cluster.RedisCluster"


class RedisSentinel(Redis):
    """A master whose address a Sentinel names. Both share one port in the pack."""

    def open(self, **options: Any) -> Any:
        """Return a client of the master. Only the master asks for the password."""
        from redis.sentinel import Sentinel

        tls: Any = {"ssl": options["ssl"], "ssl_ca_certs": self.ca_file, "socket_timeout": TIMEOUT_S}
        sentinel: Any = Sentinel(
            [(options["host"], self.port)], sentinel_kwargs=tls, password=options["password"], **tls
        )
        return sentinel.master_for("shop")


class Valkey(Redis):
    """One server, with Valkey's own client."""

    driver = "valkey"
    protocol = "valkey"
    class_name = "valkey.Valkey"


class ValkeyCluster(RedisCluster):
    """A cluster of one node at first, with Valkey's own client."""

    driver = "valkey"
    protocol = "valkey"
    class_name = "valkey.cluster.ValkeyCluster"
