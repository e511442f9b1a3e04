"""A throw-away certificate authority, created anew by every run."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backwatch.attack.authority import Signer

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
        self._count = 0
        self._signer = Signer(name, key.secret if key else None)
        self.ca_file = key.ca_file if key else folder / "ca.pem"
        if key is None:
            now = dt.datetime.now(dt.UTC)
            span = now - dt.timedelta(days=1), now + dt.timedelta(days=30)
            self.ca_file.write_bytes(self._signer.sign_own_certificate(span))

    @property
    def key(self) -> "AuthorityKey":
        """Return the data with which another process signs for this authority."""
        return AuthorityKey(self._signer.key.private_numbers().private_value, self.ca_file)

    def issue(
        self, *names: str, not_before: dt.datetime | None = None, not_after: dt.datetime | None = None
    ) -> Certificate:
        """Create a key and a certificate for ``names`` (host names and addresses; default: loopback's).

        Args:
            names: The first one is also the common name.
            not_before: Default: 30 days ago, before any past time that a test uses.
            not_after: Default: in 20 days; a past time makes an expired certificate.

        """
        names, now = names or LOOPBACK, dt.datetime.now(dt.UTC)
        span = not_before or now - dt.timedelta(days=30), not_after or now + dt.timedelta(days=20)
        return self._write(*self._signer.sign_server(names[0], names, span))

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
