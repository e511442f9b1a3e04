"""A8 on urllib: a context for an old API accepts TLS 1.1 from any server."""

from backwatch.attack.clients.urllib import Urllib
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.old_tls import OldTls


class HttpOldTls(OldTls):
    """urllib uses the context as it is; chain and name are checked."""

    server = Web
    runs = (Run(Urllib),)

    def work(self) -> object:
        """Fetch the rates."""
        return self.client.visit(context=self.tls_context())
