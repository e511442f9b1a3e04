"""G13 on requests: the key stands in the URL."""

from backwatch.attack.techniques.http_secret import BringsSecret


class SecretRequests(BringsSecret):
    """By ``params``."""

    driver = "requests"

    def fetch(self, headers: dict[str, str], query: dict[str, str]) -> object:
        """On a connection of its own."""
        import requests

        return requests.get(self.url, params=query, headers=headers, verify=self.config.ca_file, timeout=5).json()
