"""A disposable certificate authority for loopback. Each demo makes its own in a private folder."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 365
AGE_DAYS = 30
"""Age of new certificates, longer than any simulated past."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate and key, as PEM files."""

    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return a server context with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Signer:
    """A private key (P-256) and a name that sign certificates.

    Args:
        name: Common name of the authority.
        secret: Private number of an existing key; ``None``: a new key.
    """

    def __init__(self, name: str, secret: int | None = None) -> None:
        self.name = _to_name(name)
        self.key = (
            ec.generate_private_key(ec.SECP256R1()) if secret is None else ec.derive_private_key(secret, ec.SECP256R1())
        )

    def sign_own_certificate(self, valid: tuple[dt.datetime, dt.datetime]) -> bytes:
        """Return the authority's own certificate as PEM."""
        return (
            self._builder(self.name, self.key.public_key(), valid)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    def sign_server(
        self, common_name: str, hosts: Sequence[str], valid: tuple[dt.datetime, dt.datetime]
    ) -> tuple[bytes, bytes]:
        """Return a new key (PKCS#8) and its certificate, both as PEM.

        Args:
            common_name: Common name of the subject.
            hosts: Host names and addresses that it is valid for.
            valid: Begin and end of its validity.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(_to_name(common_name), key.public_key(), valid)
            .add_extension(x509.SubjectAlternativeName([_to_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: tuple[dt.datetime, dt.datetime]
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number(), *valid)


class Authority:
    """Issues certificates for ``localhost`` and ``127.0.0.1``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._signer = Signer("Backwatch demo authority")
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._signer.sign_own_certificate(_span(DAYS, AGE_DAYS)))

    def issue(self, name: str, *, days: int = DAYS, age_days: int = AGE_DAYS) -> Certificate:
        """Return a new certificate and key. ``name`` is informative; the certificate is valid for loopback's names.

        Args:
            name: Name to display.
            days: Days until it expires. A negative number means that it has expired.
            age_days: Days since it became valid. A negative number means that it is not valid yet.
        """
        key, certificate = self._signer.sign_server(name, ("localhost", "127.0.0.1"), _span(days, age_days))
        stem = f"{name.replace(' ', '-')}-{x509.random_serial_number():x}"[:60]
        made = Certificate(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        made.chain.write_bytes(certificate)
        made.key.touch(mode=0o600)
        made.key.write_bytes(key)
        return made


def _to_name(common_name: str) -> x509.Name:
    """Return an X.509 name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _span(days: int, age_days: int) -> tuple[dt.datetime, dt.datetime]:
    now = dt.datetime.now(dt.UTC)
    return now - dt.timedelta(days=age_days), now + dt.timedelta(days=days)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _to_general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
