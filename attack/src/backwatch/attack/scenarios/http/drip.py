"""E1: a response that drips; the client's time limit is one of each read."""

from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.clients.requests import Requests
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.slow import Waits


class Drip(Waits):
    """``timeout=1``, and five seconds of waiting."""

    runs = (Run(Httpx, "httpx"), Run(Requests, "requests"))

    def work(self) -> None:
        """Fetch the rates."""
        self.client.get(self.client.url(), timeout_s=1)
