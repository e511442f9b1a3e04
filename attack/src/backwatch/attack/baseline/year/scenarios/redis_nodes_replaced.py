"""A managed Redis whose provider replaces its nodes."""

from typing import Final

from backwatch.attack.baseline.year._shop import CACHE
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import AMAZON, PRIVATE_CA, Node, Service, issue

PROVIDER: Final = "master.shop.ab12cd.euw1.cache.amazonaws.com"
OWN: Final = "cache.shop.internal"


class RedisNodesReplaced(YearScenario):
    """Two caches: one of a cloud, with its authority's certificates, and one of the company's platform."""

    title = "two managed caches whose nodes are replaced every two to three days, with new addresses and certificates"
    naive = "another server with another certificate responds at another address"

    def set_up(self) -> None:
        """Make both caches."""
        self.caches = [Service("redis", host, 6379, "0", "default", []) for host in (PROVIDER, OWN)]
        for cache in self.caches:
            cache.nodes = [self._new_node(cache, 0.0)]

    def _new_node(self, cache: Service, day: float) -> Node:
        issuer = self.source.choice(AMAZON) if cache.address == PROVIDER else PRIVATE_CA
        subject = f"CN=*{cache.address[cache.address.index('.') :]}"
        peer = f"10.20.{self.source.randrange(2, 250)}.{self.source.randrange(2, 250)}"
        certificate = issue(self.source, issuer, subject, day, 395)
        return Node(peer, certificate, "8.2.3", self.source.randbytes(20).hex())

    def play(self, hour: Hour) -> None:
        """Replace nodes at night, and work."""
        for number, cache in enumerate(self.caches):
            if hour.is_at(2 + number) and hour.weekday in (1, 3, 5) and self.source.random() < 0.8:
                cache.nodes = [self._new_node(cache, hour.day)]
            self.ordinary(hour, cache, CACHE, 110)
