"""A2, B3: a MySQL server that hides TLS. The app forgot to require it in one place."""

from backwatch.attack.clients.mysql import DEFAULT_TLS
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.techniques.sql import Lookup


class Stripping(HonestMySQL):
    """Offers no TLS any more, once hostile."""

    def offers_tls(self) -> bool:
        """Return whether the server is honest still."""
        return not self.hostile


class ForgetsTls(Lookup):
    """The driver's default only prefers TLS. The app asks for more everywhere but in one place."""

    rule = "tls-stripped"

    def meet(self) -> object:
        """Run the lookup where TLS is left to the default."""
        return self.client.look_up(**DEFAULT_TLS)
