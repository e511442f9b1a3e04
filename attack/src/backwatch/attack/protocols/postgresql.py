"""An honest PostgreSQL server: verified TLS, and SCRAM with a real check of the password."""

import base64
import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass

from backwatch.attack.demo.services.postgresql import PostgreSQL, receive, send
from backwatch.attack.protocols.server import SECRET, ServerSession

_SASL, _SASL_GOES_ON, _SASL_ENDS = 10, 11, 12
_MECHANISM = b"SCRAM-SHA-256"
ITERATIONS = 4_096


class HonestPostgreSQL(PostgreSQL):
    """Returns customers. Subclasses override what turns hostile: ``self.hostile`` is set then."""

    iterations = ITERATIONS
    """Hash iterations that the server requests."""

    def offers_tls(self) -> bool:
        """Return ``True``."""
        return True

    def log_in(self, session: ServerSession) -> None:
        """Check a login by SCRAM-SHA-256.

        Raises:
            EOFError: The password is wrong.
        """
        scram(session, self.iterations)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A SCRAM login up to the server's first message: the messages of client and server."""

    header: bytes
    bare: bytes
    salt: bytes
    nonce: bytes
    server_first: bytes


def challenge(session: ServerSession, iterations: int) -> Challenge:
    """Begin SCRAM-SHA-256 (RFC 5802), without channel binding. The next message is the client's proof."""
    send(session, b"R", struct.pack("!I", _SASL) + _MECHANISM + b"\0\0")
    first = receive(session)[len(_MECHANISM) + 5 :]
    header, bare = first[: first.index(b"n=")], first[first.index(b"n=") :]
    salt, nonce = secrets.token_bytes(16), bare.partition(b",r=")[2] + base64.b64encode(secrets.token_bytes(18))
    server_first = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(salt), iterations)
    send(session, b"R", struct.pack("!I", _SASL_GOES_ON) + server_first)
    return Challenge(header, bare, salt, nonce, server_first)


def scram(session: ServerSession, iterations: int) -> None:
    """Run the server's side of SCRAM-SHA-256.

    Raises:
        EOFError: The password is wrong.
    """
    started = challenge(session, iterations)
    final, _, proof = receive(session).partition(b",p=")
    if final != b"c=%s,r=%s" % (base64.b64encode(started.header), started.nonce):
        raise ValueError("that is an answer to another challenge")
    salted = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), started.salt, iterations)
    everything = b",".join((started.bare, started.server_first, final))
    client_key = _mac(salted, b"Client Key")
    signature = _mac(hashlib.sha256(client_key).digest(), everything)
    expected = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    if not hmac.compare_digest(base64.b64encode(expected), proof):
        send(session, b"E", b"SFATAL\0C28P01\0Mpassword authentication failed\0\0")
        raise EOFError
    verifier = base64.b64encode(_mac(_mac(salted, b"Server Key"), everything))
    send(session, b"R", struct.pack("!I", _SASL_ENDS) + b"v=" + verifier)


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, "sha256").digest()
