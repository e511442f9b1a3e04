"""An honest MySQL server: verified TLS, and caching_sha2_password with a real check of the password."""

import hashlib
import hmac

from backwatch.attack.demo.services.mysql import SALT, MySQL, Packets
from backwatch.attack.protocols.server import SECRET

_MORE, _SWITCH, _FAST = b"\x01", b"\xfe", b"\x03"
MODERN = b"caching_sha2_password"


class HonestMySQL(MySQL):
    """Returns orders. Subclasses override what turns hostile: ``self.hostile`` is set then."""

    plugin = MODERN

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Check the password's proof.

        Raises:
            EOFError: The password is wrong.
        """
        if not hmac.compare_digest(proof, proof_of(SECRET)):
            wire.send(b"\xff\x15\x04#28000Access denied")
            raise EOFError
        wire.send(_MORE + _FAST)

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Return ``False``: every response is the default one."""
        del wire, statement
        return False


def proof_of(password: str) -> bytes:
    """Return the response to ``SALT`` of a client that knows the password."""
    once = hashlib.sha256(password.encode()).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + SALT).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def native_proof_of(password: str) -> bytes:
    """Return the same response by mysql_native_password."""
    once = hashlib.sha1(password.encode()).digest()  # noqa: S324  the plugin's protocol requires it
    mask = hashlib.sha1(SALT + hashlib.sha1(once).digest()).digest()  # noqa: S324
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def switch(wire: Packets, plugin: bytes) -> bytes:
    """Have the client log in again by another plugin, and return its response."""
    wire.send(_SWITCH + plugin + b"\0" + SALT + b"\0")
    return wire.receive()
