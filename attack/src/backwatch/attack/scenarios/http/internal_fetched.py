"""G14: a visitor has the app fetch an internal address, written so that a careless check takes it for a public one.

The address itself is never contacted: the proxy on loopback responds for it.
"""

from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.protocols.http import CREDENTIALS, Request, Web, format_response
from backwatch.attack.scenarios import Run, Scenario

INTERNAL = "http://0x0a.0.0.5:8500/v1/kv/secrets"
"""10.0.0.5, as inet_aton reads it."""


class InternalProxy(Web):
    """An API that is also the app's proxy, and responds for the internal address."""

    def answer(self, request: Request) -> bytes:
        """Return the secrets of the internal service, or the API's response."""
        return format_response(CREDENTIALS) if b":8500" in request.path else super().answer(request)


class InternalFetched(Scenario):
    """On httpx, in an app that fetches pictures from any URL that a visitor enters."""

    code = "G14"
    attack = "has the app fetch the secrets of an internal service, whose address it writes in hexadecimal"
    reference = "https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1190"
    rule = "internal-destination"
    server = InternalProxy
    stays_honest = True
    shows = "SecretAccessKey"
    runs = (Run(Httpx),)

    def work(self) -> object:
        """Fetch a visitor's picture."""
        return self.fetch(self.client.url("/7"))

    def meet(self) -> object:
        """Fetch the attacker's URL."""
        return self.fetch(INTERNAL)

    def fetch(self, url: str) -> object:
        """Return the content at the URL."""
        return self.client.get_json(url, **self.client.proxy_options())
