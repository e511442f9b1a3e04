"""C12: an API redirects to an internal address, and the client follows and fetches what only the machine may see.

The metadata address itself is never dialled: loopback stands for it.
"""

from abc import abstractmethod

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Leading
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario


class FollowsRedirects(Scenario):
    """An app that fetches JSON from an API, and follows where it leads."""

    code = "C12"
    attack = "redirects the app to an internal address that hands out the machine's credentials"
    reference = "OWASP API10:2023; ATT&CK T1552.005; https://cwe.mitre.org/data/definitions/918.html"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It leads elsewhere."""
        return Leading(authority)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"https://localhost:{self.config.port}/rates"

    @abstractmethod
    def fetch(self) -> object:
        """The rates, over verified TLS."""

    def work(self) -> None:
        """Fetches the rates, each time on a connection of its own."""
        self.fetch()

    def meet(self) -> object:
        """The same."""
        return self.fetch()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app holds what the internal address gave."""
        del service
        return isinstance(got, dict) and "SecretAccessKey" in got
