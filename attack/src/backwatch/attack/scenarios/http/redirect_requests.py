"""C12 on requests: a redirect to an internal address is followed."""

from backwatch.attack.techniques.http_redirect import FollowsRedirects


class RedirectRequests(FollowsRedirects):
    """requests follows redirects to any address unless it is told not to."""

    driver = "requests"

    def fetch(self) -> object:
        """As its first page shows it."""
        import requests

        return requests.get(self.url, verify=self.config.ca_file, timeout=5).json()
