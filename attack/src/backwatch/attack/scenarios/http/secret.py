"""G13: the URL contains the app's key, so request logs contain it too."""

from backwatch.attack.clients.aiohttp import Aiohttp
from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Logging
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run, Scenario


class SecretInUrl(Scenario):
    """The app first sends the key in a header. After a code change it is in the URL."""

    code = "G13"
    attack = "reads the app's API key in the log of the API's requests, where the app's URL has put it"
    reference = "https://cwe.mitre.org/data/definitions/598.html; ATT&CK T1552.001"
    rule = "secret-in-url"
    server = Logging
    captures = SECRET.encode()
    runs = (Run(Aiohttp, "aiohttp"), Run(Httpx, "httpx"), Run(Requests, "requests"))

    def work(self) -> object:
        """Fetch with the key in a header."""
        return self.client.get_json(self.client.url(), headers={"X-Api-Key": SECRET}, query={"base": "EUR"})

    def meet(self) -> object:
        """Fetch with the key in the query."""
        return self.client.get_json(self.client.url(), query={"base": "EUR", "api_key": SECRET})
