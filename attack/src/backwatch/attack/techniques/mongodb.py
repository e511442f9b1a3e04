"""Apps on PyMongo: one that keeps baskets, and one whose hole an attacker abuses (G4, G5)."""

from typing import Any, ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mongodb import SET, MongoDB
from backwatch.attack.protocols.server import LOOPBACK
from backwatch.attack.scenarios import AppConfig, Scenario

USER, PASSWORD = "anna", "two apples a day"


class Accounts(MongoDB):
    """Stores visitors' accounts. It knows one account, supports ``$ne``, and treats code as true without running it."""

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """Record the command, and return its reply."""
        name = next(iter(command), "")
        if name.lower() not in ("hello", "ismaster"):
            self.keep(f"{name} {command[name]} {command.get('filter', '')}".strip().encode())
        if name != "find":
            return super().answer(command)
        found = [{"_id": 7, "name": USER}] if _is_true(command.get("filter", {})) else []
        return {"cursor": {"id": 0, "ns": f"shop.{command['find']}", "firstBatch": found}}


class MongoApp(Scenario):
    """An app on PyMongo."""

    driver = "pymongo"
    server = MongoDB

    def open_client(self, host: str = "localhost", *, in_clear: bool = False, **options: Any) -> Any:
        """Return a client of the library, over verified TLS unless in plaintext."""
        import pymongo

        tls: dict[str, Any] = {} if in_clear else {"tls": True, "tlsCAFile": self.config.ca_file}
        return pymongo.MongoClient(
            host, self.config.port, serverSelectionTimeoutMS=5000, connectTimeoutMS=5000, socketTimeoutMS=5000, **tls,
            **options,
        )  # fmt: skip


class _Rogue(MongoDB):
    """The attacker's member, which names the honest one and itself."""

    host = LOOPBACK
    first = ""

    def members(self) -> list[str]:
        return [self.first, *super().members()]

    def leader(self) -> str:
        return super().leader() if self.primary else self.first


class ExtendedSet(MongoDB):
    """A replica set of one member. Once hostile, it names the attacker's host as another one.

    Attributes:
        keeps_lead: Whether it stays the primary.
    """

    keeps_lead: ClassVar[bool] = True

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self._elsewhere = self.attach(_Rogue(authority))
        self._elsewhere.first, self._elsewhere.primary = super().leader(), not self.keeps_lead

    def turn(self) -> None:
        """Name the other member, as the primary or as a secondary."""
        self.primary = self.keeps_lead
        super().turn()

    def members(self) -> list[str]:
        """Return the set, once hostile with the attacker's host."""
        return self._elsewhere.members() if self.hostile else super().members()

    def leader(self) -> str:
        """Return the primary."""
        return super().leader() if self.primary else self._elsewhere.leader()


class FollowsSet(MongoApp):
    """An app that knows one member of a replica set. PyMongo learns the others from it."""

    code = "C3"
    reference = (
        "https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring; ATT&CK T1557"
    )
    server = ExtendedSet


class AbusedMongoDB(MongoApp):
    """An app in which visitors log in by name and password. Its own account is all-powerful."""

    server = Accounts
    stays_honest = True

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.shared = self.open_client(replicaSet=SET)

    def let_in(self, asked: dict[str, Any]) -> list[str]:
        """Return the accounts that a login with this filter matches."""
        return [str(account["name"]) for account in self.shared["shop"]["users"].find(asked).limit(1)]

    def work(self) -> None:
        """Log in as a visitor."""
        self.let_in({"name": USER, "password": PASSWORD})


def _is_true(asked: dict[str, Any]) -> bool:
    if "$where" in asked:
        return True
    password = asked.get("password")
    differs = isinstance(password, dict) and password != {"$ne": PASSWORD}
    return asked.get("name") == USER and (differs or password == PASSWORD)
