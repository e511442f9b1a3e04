"""C12 on urllib3: a redirect to an internal address is followed."""

from backwatch.attack.techniques.http_redirect import FollowsRedirects


class RedirectUrllib3(FollowsRedirects):
    """urllib3's pool manager follows redirects to any address unless it is told not to."""

    driver = "urllib3"

    def fetch(self) -> object:
        """As its first page shows it."""
        import urllib3

        with urllib3.PoolManager(ca_certs=self.config.ca_file, timeout=5) as pool:
            return pool.request("GET", self.url).json()
