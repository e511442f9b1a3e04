"""C12: an API redirects to an internal address. The client fetches what only the machine may see."""

from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.clients.aiohttp import Aiohttp
from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.clients.requests import Requests
from backwatch.attack.clients.urllib import Urllib
from backwatch.attack.clients.urllib3 import Urllib3
from backwatch.attack.protocols.http import RedirectingWeb
from backwatch.attack.scenarios import Run, Scenario


class Redirect(Scenario):
    """The client follows redirects to any address; httpx only when asked to.

    The metadata address itself is never contacted: loopback stands for it.
    """

    code = "C12"
    attack = "redirects the app to an internal address that hands out the machine's credentials"
    reference = "OWASP API10:2023; ATT&CK T1552.005; https://cwe.mitre.org/data/definitions/918.html"
    rule = "redirected"
    server = RedirectingWeb
    shows = "SecretAccessKey"
    follow: ClassVar[Mapping[str, Any]] = {}
    runs = (
        Run(Aiohttp, "aiohttp"),
        Run(Httpx, "httpx", option="follow_redirects=True", follow={"follow_redirects": True}),
        Run(Requests, "requests"), Run(Urllib, "urllib"), Run(Urllib3, "urllib3"),
    )  # fmt: skip

    def work(self) -> object:
        """Fetch the rates on a connection of its own."""
        return self.client.get_json(self.client.url(), **self.follow)
