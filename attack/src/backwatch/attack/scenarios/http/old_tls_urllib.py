"""A8 on urllib: a context for an old API accepts TLS 1.1 from any server."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.techniques.old_tls import OldTls, allow_old


class HttpOldTls(OldTls):
    """urllib uses the context as it is; chain and name are checked."""

    driver = "urllib"
    option = 'minimum_version = TLSVersion.TLSv1_1, set_ciphers("DEFAULT@SECLEVEL=0")'
    server = Web

    def work(self) -> None:
        """Fetch the rates."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import json
        import ssl
        from urllib.request import urlopen

        context = ssl.create_default_context(cafile=self.config.ca_file)
        allow_old(context)
        with urlopen(f"https://localhost:{self.config.port}/rates", context=context, timeout=5) as answer:
            return json.load(answer)
