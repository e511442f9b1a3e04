"""G5: the attacker reconfigures a MongoDB server through the app's account."""

from backwatch.attack.techniques.mongodb import AbusedMongoDB


class MongodbReconfigured(AbusedMongoDB):
    """On PyMongo, in an app whose account may do everything."""

    code = "G5"
    attack = "has the server log less of what is done next"
    reference = "https://www.mongodb.com/docs/manual/reference/command/nav-administration/; ATT&CK T1562.001"
    rule = "mongo-admin"
    captures = b"setParameter 1"

    def meet(self) -> None:
        """Reconfigure the server as the attacker."""
        self.shared["admin"].command("setParameter", 1, quiet=1)
