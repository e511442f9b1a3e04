"""The server's side of MongoDB's SCRAM login (RFC 5802)."""

import base64
import hashlib
import hmac
import secrets


class AuthenticationError(Exception):
    """The proof does not show that the client knows the secret."""


class Scram:
    """The server's side of RFC 5802."""

    def __init__(self, mechanism: str, user: str, secret: str) -> None:
        self.digest = "sha256" if mechanism == "SCRAM-SHA-256" else "sha1"
        if self.digest == "sha1":
            secret = hashlib.md5(f"{user}:mongo:{secret}".encode()).hexdigest()  # the protocol's own way
        self.salt = secrets.token_bytes(16)
        self.salted = hashlib.pbkdf2_hmac(self.digest, secret.encode(), self.salt, 4096)
        self.exchanged = b""
        self.expected, self.user = user.encode(), b""

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self.digest).digest()

    def first(self, message: bytes) -> bytes:
        """Return salt and nonce."""
        bare = message[3:]
        self.user = bare.split(b",")[0][2:]
        nonce = bare.partition(b"r=")[2] + secrets.token_hex(8).encode()
        answer = b"r=" + nonce + b",s=" + base64.b64encode(self.salt) + b",i=4096"
        self.exchanged = bare + b"," + answer
        return answer

    def final(self, message: bytes) -> bytes:
        """Check the client's proof, and return the server's."""
        without, _, proof = message.partition(b",p=")
        exchanged = self.exchanged + b"," + without
        key = self._mac(self.salted, b"Client Key")
        expected = self._mac(hashlib.new(self.digest, key).digest(), exchanged)
        given = bytes(one ^ other for one, other in zip(base64.b64decode(proof), expected, strict=True))
        if self.user != self.expected or not hmac.compare_digest(given, key):
            raise AuthenticationError
        return b"v=" + base64.b64encode(self._mac(self._mac(self.salted, b"Server Key"), exchanged))
