"""A5 on requests, in an app that retries with ``verify=False``."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.unverified import TriesUnverified


class HttpUnverified(TriesUnverified):
    """The usual advice in forums for a certificate error."""

    option = "verify=False"
    server = Web
    runs = (Run(Requests),)

    def visit(self, *, checked: bool) -> object:
        """Fetch the rates."""
        return self.client.visit(**({} if checked else {"verify": False}))
