"""G5: the attacker reconfigures a MongoDB server through the app's account."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mongodb import AbusedMongoDB


class MongodbReconfigured(AbusedMongoDB):
    """On PyMongo, in an app whose account may do everything."""

    code = "G5"
    attack = "has the server tell its log less of what is done next"
    reference = "https://www.mongodb.com/docs/manual/reference/command/nav-administration/; ATT&CK T1562.001"
    rule = "mongo-admin"

    def meet(self) -> object:
        """Reconfigure the server as the attacker."""
        self.open_client()["admin"].command("setParameter", 1, quiet=1)
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the service received the command and did not refuse."""
        del got
        return b"setParameter 1" in service.kept
