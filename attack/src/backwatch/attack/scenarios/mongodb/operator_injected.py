"""G4: a visitor's form becomes a filter, and its password an operator that is always true."""

from backwatch.attack.techniques.mongodb import USER, AbusedMongoDB


class MongodbOperatorInjected(AbusedMongoDB):
    """On PyMongo, in an app that parses the form field ``password[$ne]=`` into a document."""

    code = "G4"
    attack = "logs in to another user's account by an operator in the password's place"
    reference = "https://owasp.org/www-community/Injection_Theory; ATT&CK T1190"
    rule = "mongo-operator-injected"
    shows = USER

    def meet(self) -> object:
        """Log in as the attacker."""
        return self.let_in({"name": USER, "password": {"$ne": ""}})
