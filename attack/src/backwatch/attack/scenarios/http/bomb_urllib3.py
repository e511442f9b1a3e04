"""E2 on urllib3: a small body is unpacked whole, whatever it comes to."""

from backwatch.attack.techniques.decompression import Unpacks


class BombUrllib3(Unpacks):
    """urllib3 unpacks bodies without a limit where they are read whole."""

    driver = "urllib3"

    def fetch(self) -> bytes:
        """As its first page shows it."""
        import urllib3

        with urllib3.PoolManager(ca_certs=self.config.ca_file, timeout=5) as pool:
            return pool.request("GET", self.url).data
