"""C3: a replica set's primary names the attacker's host as a member. The client reads from it."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mongodb import SET, MongoDB
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import Scenario


class _Rogue(MongoDB):
    primary = False
    host = LOOPBACK
    first = ""

    def members(self) -> list[str]:
        return [self.first, *super().members()]

    def leader(self) -> str:
        return self.first


class _Joined(MongoDB):
    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = _Rogue(authority)
        self.elsewhere.first = f"{self.host}:{self.port}"
        self.elsewhere.taken = self.elsewhere.kept.append

    def start(self) -> None:
        self.elsewhere.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.elsewhere.stop()

    def members(self) -> list[str]:
        return self.elsewhere.members() if self.hostile else super().members()


class MongodbRogueSecondary(Scenario):
    """PyMongo may read from any secondary."""

    code = "C3"
    attack = "names a host that is no member as a secondary, which answers what the app reads"
    reference = (
        "https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring; ATT&CK T1557"
    )
    driver = "pymongo"
    rule = "topology-changed"
    option = "readPreference=secondaryPreferred"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the primary."""
        return _Joined(authority)

    def work(self) -> None:
        """Read a basket."""
        self.meet()

    def meet(self) -> object:
        """Read a basket, now that the set is known."""
        import time

        import pymongo

        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            "localhost", self.config.port, replicaSet=SET, tls=True, tlsCAFile=self.config.ca_file,
            readPreference="secondaryPreferred", serverSelectionTimeoutMS=5000, connectTimeoutMS=5000,
            socketTimeoutMS=5000,
        )  # fmt: skip
        with client:
            found: list[str] = []
            for _ in range(3):
                found += [str(document["basket"]) for document in client["shop"]["baskets"].find({"_id": 7})]
                time.sleep(0.3)
            return found

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other host was queried."""
        del got
        assert isinstance(service, _Joined)
        return b"find" in service.elsewhere.kept
