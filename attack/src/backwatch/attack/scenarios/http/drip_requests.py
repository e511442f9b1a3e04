"""E1 on requests: its time limit is one of each read, and an answer that drips takes for ever."""

from backwatch.attack.techniques.slow import Waits


class DripRequests(Waits):
    """``timeout=1``, and five seconds of waiting."""

    driver = "requests"

    def work(self) -> None:
        """Fetches the rates."""
        import requests

        requests.get(self.url, verify=self.config.ca_file, timeout=1).raise_for_status()
