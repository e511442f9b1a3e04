"""Valkey's own client, with the interface of redis-py."""

from typing import Any

from backwatch.attack.clients.redis import Redis


class Valkey(Redis):
    """One server."""

    driver = "valkey"

    def client_class(self) -> Any:
        """Return the driver's class."""
        import valkey

        return valkey.Valkey


class ValkeyCluster(Valkey):
    """A cluster of one node at first."""

    def client_class(self) -> Any:
        """Return the driver's class."""
        from valkey.cluster import ValkeyCluster as Cluster

        return Cluster
