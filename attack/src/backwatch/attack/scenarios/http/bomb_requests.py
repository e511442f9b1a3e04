"""E2 on requests: a small body is unpacked whole, whatever it comes to."""

from backwatch.attack.techniques.decompression import Unpacks


class BombRequests(Unpacks):
    """requests unpacks bodies without a limit."""

    driver = "requests"

    def fetch(self) -> bytes:
        """As its first page shows it."""
        import requests

        return requests.get(self.url, verify=self.config.ca_file, timeout=5).content
