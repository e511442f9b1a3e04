"""A8 on urllib: a context for an old API lets any server go back to TLS 1.1."""

from backwatch.attack.entries import run
from backwatch.attack.entries._old_tls import OldTls, allow_old
from backwatch.attack.protocols.http import Web


class HttpOldTls(OldTls):
    """urllib uses the context as it is; chain and name are checked."""

    driver = "urllib"
    option = 'minimum_version = TLSVersion.TLSv1_1, set_ciphers("DEFAULT@SECLEVEL=0")'
    honest = Web

    def work(self) -> None:
        """Fetches the rates."""
        self.meet()

    def meet(self) -> object:
        """The same."""
        import json
        import ssl
        from urllib.request import urlopen

        context = ssl.create_default_context(cafile=self.place.ca_file)
        allow_old(context)
        with urlopen(f"https://localhost:{self.place.port}/rates", context=context, timeout=5) as answer:
            return json.load(answer)


if __name__ == "__main__":
    run(HttpOldTls)
