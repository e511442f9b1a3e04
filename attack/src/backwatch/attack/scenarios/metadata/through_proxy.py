"""G11: a visitor has the app fetch the metadata address, through its proxy for plaintext requests.

The address itself is never contacted: the proxy on loopback responds for it.
"""

from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.protocols.http import CREDENTIALS, Request, Web, format_response
from backwatch.attack.scenarios import Run, Scenario

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/shop"


class MetadataProxy(Web):
    """An API that is also the app's proxy, and responds for the metadata address."""

    def answer(self, request: Request) -> bytes:
        """Return the credentials of the machine, or the API's response."""
        return format_response(CREDENTIALS) if b"169.254.169.254" in request.path else super().answer(request)


class MetadataThroughProxy(Scenario):
    """On httpx, in an app that fetches pictures from any URL that a visitor enters."""

    code = "G11"
    attack = "has the app fetch the credentials of its machine from the cloud's metadata address"
    reference = "https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1552.005"
    rule = "metadata-address"
    server = MetadataProxy
    stays_honest = True
    shows = "SecretAccessKey"
    runs = (Run(Httpx),)

    def work(self) -> object:
        """Fetch a visitor's picture."""
        return self.fetch(self.client.url("/7"))

    def meet(self) -> object:
        """Fetch the attacker's URL."""
        return self.fetch(METADATA)

    def fetch(self, url: str) -> object:
        """Return the content at the URL."""
        return self.client.get_json(url, **self.client.proxy_options())
