"""G4: a visitor's search becomes JavaScript that MongoDB runs on each document."""

from backwatch.attack.techniques.mongodb import USER, AbusedMongoDB


class MongodbWhereInjected(AbusedMongoDB):
    """On PyMongo, in an app that uses JSON from a visitor as a filter."""

    code = "G4"
    attack = "has the server run JavaScript through a $where in what a visitor sent"
    reference = "https://www.mongodb.com/docs/manual/core/server-side-javascript/; ATT&CK T1059.007"
    rule = "mongo-server-code"
    shows = USER

    def meet(self) -> object:
        """Log in as the attacker."""
        return self.let_in({"$where": "sleep(1) || true"})
