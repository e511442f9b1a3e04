"""A12 on requests, in an app that retries with ``http://``."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import SECRET, Run
from backwatch.attack.techniques.retried_in_clear import RetriesInClear


class HttpRetriedInClear(RetriesInClear):
    """The app sends the token to any server."""

    option = "http://"
    server = Web
    runs = (Run(Requests),)

    def visit(self, *, checked: bool) -> object:
        """Fetch the rates."""
        return self.client.visit(tls=checked, headers={"Authorization": f"Bearer {SECRET}"})
