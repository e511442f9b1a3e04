"""A7 on urllib: a context that looks at no dates takes a certificate that has ended."""

from backwatch.attack.entries import run
from backwatch.attack.entries._expired import ShowsExpired, dateless
from backwatch.attack.protocols.http import Web


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

        context = dateless(self.place.ca_file)
        with urlopen(f"https://localhost:{self.place.port}/rates", context=context, timeout=5) as answer:
            return json.load(answer)


if __name__ == "__main__":
    run(HttpExpired)
