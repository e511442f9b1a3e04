"""G5: the attacker drops a whole database through the app's account."""

from backwatch.attack.techniques.mongodb import AbusedMongoDB


class MongodbDropsDatabase(AbusedMongoDB):
    """On PyMongo, in an app whose account may do everything."""

    code = "G5"
    attack = "drops the whole database of the shop"
    reference = "https://www.mongodb.com/docs/manual/reference/command/dropDatabase/; ATT&CK T1485"
    rule = "data-destroyed"
    captures = b"dropDatabase 1"

    def meet(self) -> None:
        """Drop the database as the attacker."""
        self.shared.drop_database("shop")
