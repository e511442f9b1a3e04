"""A8 on requests: every client falls back to TLS 1.2 if the server supports nothing newer."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.techniques.old_tls import LoweredTls


class HttpTlsLowered(LoweredTls):
    """requests sets no minimum version above 1.2; chain and name are checked."""

    driver = "requests"
    server = Web

    def work(self) -> None:
        """Fetch the rates."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import requests

        url = f"https://localhost:{self.config.port}/rates"
        return requests.get(url, verify=self.config.ca_file, timeout=5).json()
