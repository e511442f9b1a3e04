"""A7 on urllib: a context that ignores dates accepts an expired certificate."""

from backwatch.attack.clients.urllib import Urllib
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.expired import ShowsExpired


class HttpExpired(ShowsExpired):
    """urllib uses the context as it is; chain and name are checked."""

    server = Web
    runs = (Run(Urllib),)

    def work(self) -> object:
        """Fetch the rates."""
        return self.client.visit(context=self.tls_context())
