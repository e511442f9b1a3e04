"""B9: an API redirects to another host, and the client sends the app's API key along."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Leading
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class KeyFollowsRedirect(Scenario):
    """requests drops Authorization on the way to another host, but no other header."""

    code = "B9"
    attack = "redirects the app to another host, which is sent the X-Api-Key header"
    reference = "CVE-2023-32681; https://cwe.mitre.org/data/definitions/522.html"
    driver = "requests"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that leads its clients elsewhere."""
        return Leading(authority)

    def work(self) -> None:
        """Fetch the rates, on one connection."""
        import requests

        with requests.Session() as session:
            session.headers["X-Api-Key"] = SECRET
            for _ in range(2):
                session.get(f"https://localhost:{self.config.port}/rates", verify=self.config.ca_file, timeout=5)

    def meet(self) -> object:
        """Fetch the rates from the hostile server."""
        self.work()
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other host received the key."""
        del got
        assert isinstance(service, Leading)
        return any(SECRET.encode() in request for request in service.elsewhere.kept)
