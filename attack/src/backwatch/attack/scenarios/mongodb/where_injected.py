"""G4: a visitor's search becomes JavaScript that MongoDB runs on each document."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mongodb import USER, AbusedMongoDB


class MongodbWhereInjected(AbusedMongoDB):
    """On PyMongo, in an app that takes the JSON which a visitor sends for a filter."""

    code = "G4"
    attack = "has the server run JavaScript through a $where in what a visitor sent"
    reference = "https://www.mongodb.com/docs/manual/core/server-side-javascript/; ATT&CK T1059.007"
    rule = "mongo-server-code"

    def meet(self) -> object:
        """The attacker logs in."""
        return self.let_in({"$where": "sleep(1) || true"})

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The code reached the server, which let it in."""
        return got == [USER] and any(b"$where" in one for one in service.kept)
