"""E1 on httpx: its time limit is one of each read, and an answer that drips takes for ever."""

from backwatch.attack.techniques.slow import Waits


class DripHttpx(Waits):
    """``timeout=1``, and five seconds of waiting."""

    driver = "httpx"

    def work(self) -> None:
        """Fetches the rates."""
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with httpx.Client(verify=context, timeout=1) as client:
            client.get(self.url).raise_for_status()
