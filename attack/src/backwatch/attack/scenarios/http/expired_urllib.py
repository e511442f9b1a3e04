"""A7 on urllib: a context that looks at no dates takes a certificate that has ended."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.techniques.expired import ShowsExpired, dateless


class HttpExpired(ShowsExpired):
    """urllib uses the context as it is; chain and name are checked."""

    driver = "urllib"
    honest = Web

    def work(self) -> None:
        """Fetches the rates."""
        self.meet()

    def meet(self) -> object:
        """The same."""
        import json
        from urllib.request import urlopen

        context = dateless(self.config.ca_file)
        with urlopen(f"https://localhost:{self.config.port}/rates", context=context, timeout=5) as answer:
            return json.load(answer)
