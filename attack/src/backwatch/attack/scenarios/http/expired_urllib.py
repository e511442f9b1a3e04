"""A7 on urllib: a context that ignores dates accepts an expired certificate."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.techniques.expired import ShowsExpired, dateless


class HttpExpired(ShowsExpired):
    """urllib uses the context as it is; chain and name are checked."""

    driver = "urllib"
    server = Web

    def work(self) -> None:
        """Fetch the rates."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import json
        from urllib.request import urlopen

        context = dateless(self.config.ca_file)
        with urlopen(f"https://localhost:{self.config.port}/rates", context=context, timeout=5) as answer:
            return json.load(answer)
