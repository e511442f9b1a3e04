"""G4, G5: an attacker abuses a MongoDB through an app with a hole. The server stays honest."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mongodb import SET, MongoDB
from backwatch.attack.protocols.server import HostileServer
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


class AbusedMongoDB(Scenario):
    """An app in which visitors log in by name and password."""

    driver = "pymongo"

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self._client: Any = None

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return an honest service with an all-powerful account."""
        return Accounts(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        service.kept.clear()

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS; the app shares one."""
        import pymongo

        if self._client is None:
            self._client = pymongo.MongoClient(
                "localhost", self.config.port, replicaSet=SET, tls=True, tlsCAFile=self.config.ca_file,
                serverSelectionTimeoutMS=5000, connectTimeoutMS=5000, socketTimeoutMS=5000,
            )  # fmt: skip
        return self._client

    def let_in(self, asked: dict[str, Any]) -> list[str]:
        """Return the accounts that a login with this filter matches."""
        return [str(account["name"]) for account in self.open_client()["shop"]["users"].find(asked).limit(1)]

    def work(self) -> None:
        """Log in as a visitor."""
        self.let_in({"name": USER, "password": PASSWORD})


def _is_true(asked: dict[str, Any]) -> bool:
    if "$where" in asked:
        return True
    password = asked.get("password")
    differs = isinstance(password, dict) and password != {"$ne": PASSWORD}
    return asked.get("name") == USER and (differs or password == PASSWORD)
