"""A1 on requests: the app fetches from a second API by ``http://``."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.techniques.second import AttachesInClear


class HttpSecond(AttachesInClear):
    """The URL lacks an ``s``: requests and responses can be read and changed on the network."""

    attack = "is fetched from in plaintext beside another one, so that who is on the way reads what is asked"
    driver = "requests"
    rule = "plaintext-session"
    server = Web
    confidential = b"GET /rates"

    def visit(self, host: str, *, careful: bool) -> object:
        """Fetch the rates."""
        import requests

        scheme = "https" if careful else "http"
        return requests.get(f"{scheme}://{host}:{self.config.port}/rates", verify=self.config.ca_file, timeout=5).json()
