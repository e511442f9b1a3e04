"""B9: an API redirects to another host, and the client sends the app's API key along."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import RedirectingWeb
from backwatch.attack.scenarios import SECRET, Run, Scenario


class KeyFollowsRedirect(Scenario):
    """requests drops Authorization on the way to another host, but no other header."""

    code = "B9"
    attack = "redirects the app to another host, which is sent the X-Api-Key header"
    reference = "CVE-2023-32681; https://cwe.mitre.org/data/definitions/522.html"
    rule = "redirected"
    server = RedirectingWeb
    captures = SECRET.encode()
    runs = (Run(Requests),)

    def work(self) -> object:
        """Fetch the rates."""
        return self.client.visit(headers={"X-Api-Key": SECRET})
