"""A throw-away certificate authority, created anew by every run."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "Backwatch test authority"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate and its key (PKCS#8), both PEM; ``both_file`` holds the key, then the certificate."""

    key_file: Path
    certificate_file: Path
    both_file: Path

    @property
    def both(self) -> str:
        """Return the key, then the certificate."""
        return self.both_file.read_text()


class AuthorityKey(NamedTuple):
    """A private key of an authority (P-256), and its certificate."""

    secret: int
    ca_file: Path


class Authority:
    """A signer of certificates for the servers of the tests.

    Attributes:
        ca_file: Its own certificate, PEM: what a client must trust.

    """

    def __init__(self, folder: Path, name: str = NAME, key: "AuthorityKey | None" = None) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._count = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        if key is None:
            self.ca_file = folder / "ca.pem"
            self.ca_file.write_bytes(self._sign_own_certificate())
        else:
            self._key = ec.derive_private_key(key.secret, self._key.curve)
            self.ca_file = key.ca_file

    @property
    def key(self) -> "AuthorityKey":
        """Return the data with which another process signs for this authority."""
        return AuthorityKey(self._key.private_numbers().private_value, self.ca_file)

    def _sign_own_certificate(self) -> bytes:
        now, public = dt.datetime.now(dt.UTC), self._key.public_key()
        return (
            _builder(self._name, self._name, public, now - dt.timedelta(days=1), now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    def issue(
        self, *names: str, not_before: dt.datetime | None = None, not_after: dt.datetime | None = None
    ) -> Certificate:
        """Create a key and a certificate for ``names`` (host names and addresses; default: loopback's).

        Args:
            names: The first one is also the common name.
            not_before: Default: 30 days ago, before any past time that a test uses.
            not_after: Default: in 20 days; a past time makes an expired certificate.

        """
        names = names or LOOPBACK
        now = dt.datetime.now(dt.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = (
            _builder(
                subject, self._name, key.public_key(),
                not_before or now - dt.timedelta(days=30), not_after or now + dt.timedelta(days=20),
            )
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        key_text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(key_text, certificate.public_bytes(serialization.Encoding.PEM))

    def _write(self, key: bytes, certificate: bytes) -> Certificate:
        self._count += 1
        issued = Certificate(
            key_file=self._folder / f"{self._count}.key.pem",
            certificate_file=self._folder / f"{self._count}.pem",
            both_file=self._folder / f"{self._count}.both.pem",
        )
        for path, content in (
            (issued.key_file, key),
            (issued.certificate_file, certificate),
            (issued.both_file, key + certificate),
        ):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return issued


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), start, end)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
