"""G13: the app's key stands in the URL, so that it is written into the logs of all who serve or hand on the request."""

from abc import abstractmethod

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Logging
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class BringsSecret(Scenario):
    """An app that fetches rates for which it has a key: in a header at first, after a change of its code in the URL."""

    code = "G13"
    attack = "reads the app's API key in the log of the API's requests, where the app's URL has put it"
    reference = "https://cwe.mitre.org/data/definitions/598.html; ATT&CK T1552.001"
    rule = "secret-in-url"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Its log is what the attacker reads."""
        return Logging(authority)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"https://localhost:{self.config.port}/rates"

    @abstractmethod
    def fetch(self, headers: dict[str, str], query: dict[str, str]) -> object:
        """The rates, over verified TLS."""

    def work(self) -> None:
        """With the key in a header."""
        self.fetch({"X-Api-Key": SECRET}, {"base": "EUR"})

    def meet(self) -> object:
        """With the key in the query."""
        return self.fetch({}, {"base": "EUR", "api_key": SECRET})

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The log has the key."""
        del got
        return any(SECRET.encode() in line for line in service.kept)
