"""B9: an API redirects to another host, and the client takes the app's API key along."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Leading
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class KeyFollowsRedirect(Scenario):
    """On requests, which drops Authorization on the way to another host, but no header of any other name."""

    code = "B9"
    attack = "redirects the app to another host, which is sent the X-Api-Key header"
    reference = "CVE-2023-32681; https://cwe.mitre.org/data/definitions/522.html"
    driver = "requests"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It leads elsewhere."""
        return Leading(authority)

    def work(self) -> None:
        """Fetches the rates, on one connection."""
        import requests

        with requests.Session() as session:
            session.headers["X-Api-Key"] = SECRET
            for _ in range(2):
                session.get(f"https://localhost:{self.config.port}/rates", verify=self.config.ca_file, timeout=5)

    def meet(self) -> object:
        """The same."""
        self.work()
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The other host was told the key."""
        del got
        assert isinstance(service, Leading)
        return any(SECRET.encode() in request for request in service.elsewhere.kept)
