"""E2 on httpx: a small body is unpacked whole, whatever it comes to."""

from backwatch.attack.techniques.decompression import Unpacks


class BombHttpx(Unpacks):
    """httpx unpacks bodies without a limit."""

    driver = "httpx"

    def fetch(self) -> bytes:
        """As its first page shows it."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with httpx.Client(verify=context, timeout=5) as client:
            return client.get(self.url).content
