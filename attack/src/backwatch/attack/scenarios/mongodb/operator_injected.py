"""G4: a visitor's form becomes a filter, and its password an operator that is always true."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mongodb import USER, AbusedMongoDB


class MongodbOperatorInjected(AbusedMongoDB):
    """On PyMongo, in an app that reads ``password[$ne]=`` of a form as a document."""

    code = "G4"
    attack = "logs in as somebody else by an operator in the password's place"
    reference = "https://owasp.org/www-community/Injection_Theory; ATT&CK T1190"
    rule = "mongo-operator-injected"

    def meet(self) -> object:
        """The attacker logs in."""
        return self.let_in({"name": USER, "password": {"$ne": ""}})

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Without the password, it is let in."""
        del service
        return got == [USER]
