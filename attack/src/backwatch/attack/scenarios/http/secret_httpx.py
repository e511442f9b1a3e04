"""G13 on httpx: the key stands in the URL."""

from backwatch.attack.techniques.http_secret import BringsSecret


class SecretHttpx(BringsSecret):
    """By ``params``."""

    driver = "httpx"

    def fetch(self, headers: dict[str, str], query: dict[str, str]) -> object:
        """On a connection of its own."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        return httpx.get(self.url, params=query, headers=headers, verify=context, timeout=5).json()
