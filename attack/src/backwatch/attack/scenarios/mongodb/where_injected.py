"""G4: a visitor's search becomes JavaScript that MongoDB runs on each document."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mongodb import USER, AbusedMongoDB


class MongodbWhereInjected(AbusedMongoDB):
    """On PyMongo, in an app that uses JSON from a visitor as a filter."""

    code = "G4"
    attack = "has the server run JavaScript through a $where in what a visitor sent"
    reference = "https://www.mongodb.com/docs/manual/core/server-side-javascript/; ATT&CK T1059.007"
    rule = "mongo-server-code"

    def meet(self) -> object:
        """Log in as the attacker."""
        return self.let_in({"$where": "sleep(1) || true"})

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the code reached the server, which granted the login."""
        return got == [USER] and any(b"$where" in command for command in service.kept)
