"""C12 on urllib.request: a redirect to an internal address is followed."""

from backwatch.attack.techniques.http_redirect import FollowsRedirects


class RedirectUrllib(FollowsRedirects):
    """urllib.request follows redirects to any address, to ftp:// even."""

    driver = "urllib"

    def fetch(self) -> object:
        """As its documentation shows it."""
        import json
        import ssl
        from urllib.request import urlopen

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with urlopen(self.url, timeout=5, context=context) as answer:  # noqa: S310  the URL is the pack's own
            return json.load(answer)
