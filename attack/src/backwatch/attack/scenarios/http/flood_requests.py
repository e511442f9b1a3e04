"""E3 on requests: an API answers with far more than it ever did."""

from backwatch.attack.techniques.body_flood import Floods


class HttpFloodRequests(Floods):
    """It reads all of an answer before it hands it over."""

    driver = "requests"

    def meet(self) -> object:
        """Fetches the rates: how long they are."""
        import requests

        return len(requests.get(self.url, verify=self.config.ca_file, timeout=5).content)
