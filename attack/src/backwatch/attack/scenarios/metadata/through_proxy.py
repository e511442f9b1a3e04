"""G11: a visitor has the app fetch the metadata address, through its proxy for plaintext requests.

The address itself is never contacted: the proxy on loopback responds for it.
"""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import CREDENTIALS, Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/shop"


class _Proxy(Web):
    """Responds for every host."""

    def answer(self, request: Request) -> bytes:
        return answered(CREDENTIALS) if b"169.254.169.254" in request.path else super().answer(request)


class MetadataThroughProxy(Scenario):
    """On httpx, in an app that fetches pictures from any URL that a visitor enters."""

    code = "G11"
    attack = "has the app fetch the credentials of its machine from the cloud's metadata address"
    reference = "https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1552.005"
    driver = "httpx"
    rule = "metadata-address"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the proxy, which stays honest."""
        return _Proxy(authority)

    def fetch(self, url: str) -> object:
        """Return the content at the URL."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        proxy = httpx.Proxy(f"https://localhost:{self.config.port}", ssl_context=context)
        through = {"http://": httpx.HTTPTransport(proxy=proxy)}
        with httpx.Client(mounts=through, verify=context, timeout=5) as client:
            return client.get(url).json()

    def work(self) -> None:
        """Fetch a visitor's picture."""
        self.fetch(f"https://localhost:{self.config.port}/7")

    def meet(self) -> object:
        """Fetch the attacker's URL."""
        return self.fetch(METADATA)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app has the credentials."""
        del service
        return isinstance(got, dict) and "SecretAccessKey" in got
