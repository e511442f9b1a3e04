"""An honest MySQL: verified TLS, and a login by caching_sha2_password that really checks the password."""

import hashlib
import hmac

from backwatch.attack.demo.services.mysql import SALT, MySQL, Packets
from backwatch.attack.protocols.server import SECRET

_MORE, _SWITCH, _FAST = b"\x01", b"\xfe", b"\x03"
MODERN = b"caching_sha2_password"


class HonestMySQL(MySQL):
    """Orders are read from it. A subclass overrides where it turns: ``self.hostile`` says whether it has."""

    plugin = MODERN

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Checks the password's proof.

        Raises:
            EOFError: It is another password's.
        """
        if not hmac.compare_digest(proof, proof_of(SECRET)):
            wire.send(b"\xff\x15\x04#28000Access denied")
            raise EOFError
        wire.send(_MORE + _FAST)

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Never."""
        del wire, statement
        return False


def proof_of(password: str) -> bytes:
    """What a client that knows the password answers to ``SALT``."""
    once = hashlib.sha256(password.encode()).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + SALT).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def native_proof_of(password: str) -> bytes:
    """The same, by mysql_native_password."""
    once = hashlib.sha1(password.encode()).digest()  # noqa: S324  what that plugin does
    mask = hashlib.sha1(SALT + hashlib.sha1(once).digest()).digest()  # noqa: S324
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def switch(wire: Packets, plugin: bytes) -> bytes:
    """Has the client log in once more by another plugin, and tells what it answered."""
    wire.send(_SWITCH + plugin + b"\0" + SALT + b"\0")
    return wire.receive()
