"""G5: the attacker drops a whole database through the app's account."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mongodb import AbusedMongoDB


class MongodbDropsDatabase(AbusedMongoDB):
    """On PyMongo, in an app whose account may do everything."""

    code = "G5"
    attack = "drops the whole database of the shop"
    reference = "https://www.mongodb.com/docs/manual/reference/command/dropDatabase/; ATT&CK T1485"
    rule = "data-destroyed"

    def meet(self) -> object:
        """Drop the database as the attacker."""
        self.open_client().drop_database("shop")
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the service received the command and did not refuse."""
        del got
        return b"dropDatabase 1" in service.kept
