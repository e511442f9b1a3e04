"""D14 on urllib: an API's response names a local file as next page. urlopen opens it."""

import json

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

FILE = "file:///etc/hosts"
"""A file that exists on every machine and is no secret."""
MOST_PAGES = 3


class _Paged(Web):
    def answer(self, request: Request) -> bytes:
        follows = FILE if self.hostile else f"https://localhost:{self.port}/goods?page=2"
        return answered(
            json.dumps({"goods": "apples", "next": None if b"page=2" in request.path else follows}).encode()
        )


class HttpFileNamed(Scenario):
    """``urlopen`` opens ``file:`` URLs too. It refuses redirects to them, but not links that the app follows."""

    code = "D14"
    attack = "names a file of the app's machine as the next page of a list, and the app publishes it as goods"
    reference = "CVE-2023-34457; https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1005"
    driver = "urllib"
    notices = "a page without goods"
    rule = "local-file-opened"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, with two honest pages at first."""
        return _Paged(authority)

    def work(self) -> None:
        """Read all pages."""
        self.meet()

    def meet(self) -> object:
        """Read all pages of the hostile server."""
        pages: list[str] = []
        follows: str | None = f"https://localhost:{self.config.port}/goods?page=1"
        while follows and len(pages) < MOST_PAGES:
            text = self.fetch(follows)
            try:
                page = json.loads(text)
            except ValueError:
                page = {"goods": text}
            pages.append(page["goods"])
            follows = page.get("next")
        return pages

    def fetch(self, url: str) -> str:
        """Return one page, fetched as urllib's documentation shows."""
        import ssl
        from urllib.request import urlopen

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with urlopen(url, context=context, timeout=5) as answer:  # noqa: S310  the scenario is about this risk
            return answer.read().decode()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the file is among the goods."""
        del service
        return isinstance(got, list) and any("localhost" in f"{page}" for page in got)
