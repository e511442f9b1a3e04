"""A5 on requests, in an app that retries with ``verify=False``."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.techniques.unverified import TriesUnverified


class HttpUnverified(TriesUnverified):
    """The usual advice in forums for a certificate error."""

    driver = "requests"
    option = "verify=False"
    server = Web

    def visit(self, *, checked: bool) -> object:
        """Fetch the rates."""
        import requests

        url = f"https://localhost:{self.config.port}/rates"
        return requests.get(url, verify=self.config.ca_file if checked else False, timeout=5).json()
