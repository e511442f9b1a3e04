"""E3 on httpx: an API answers with far more than it ever did."""

import ssl

from backwatch.attack.techniques.body_flood import Floods


class HttpFloodHttpx(Floods):
    """It reads all of an answer before it hands it over."""

    driver = "httpx"

    def meet(self) -> object:
        """Fetches the rates: how long they are."""
        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        return len(httpx.get(self.url, verify=context, timeout=5).content)
