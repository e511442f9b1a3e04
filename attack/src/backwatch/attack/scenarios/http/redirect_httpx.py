"""C12 on httpx: a redirect to an internal address is followed where it was asked to follow."""

from backwatch.attack.techniques.http_redirect import FollowsRedirects


class RedirectHttpx(FollowsRedirects):
    """httpx follows no redirect unless it is told to; then any."""

    driver = "httpx"
    option = "follow_redirects=True"

    def fetch(self) -> object:
        """As its guide shows it to those who come from requests."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with httpx.Client(verify=context, timeout=5, follow_redirects=True) as client:
            return client.get(self.url).json()
