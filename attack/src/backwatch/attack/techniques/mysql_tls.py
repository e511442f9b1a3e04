"""A2, A5, B3: MySQL servers that hide TLS or want the password itself. The app forgot to require TLS in one place."""

from backwatch.attack.clients.mysql import DEFAULT_TLS
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.techniques.sql import Lookup

PROOF_REFUSED = b"\x01\x04"
"""Message of caching_sha2_password by which a server requests the full login."""


class TlsStrippingMySQL(HonestMySQL):
    """Offers no TLS any more, once hostile."""

    def offers_tls(self) -> bool:
        """Return whether the server is honest still."""
        return not self.hostile


class WantsPassword(HonestMySQL):
    """Refuses the proof and asks for the password itself, once hostile."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Take the password instead of the proof."""
        if self.hostile:
            wire.send(PROOF_REFUSED)
            self.on_leak(wire.receive().rstrip(b"\0"))
        else:
            super().log_in(wire, proof)


class ForgetsTls(Lookup):
    """The driver's default only prefers TLS. The app asks for more everywhere but in one place."""

    rule = "tls-stripped"

    def meet(self) -> object:
        """Run the lookup where TLS is left to the default."""
        return self.client.look_up(**DEFAULT_TLS)
