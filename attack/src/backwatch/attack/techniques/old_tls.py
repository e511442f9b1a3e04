"""A8: the service falls back to TLS 1.2 or 1.1, which a tolerant client accepts."""

import ssl
import warnings
from typing import ClassVar

from backwatch.attack.authority import Certificate
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

CIPHERS = "DEFAULT@SECLEVEL=0"
"""OpenSSL's cipher string for everything, including SHA-1 signatures, which TLS 1.1 requires."""


class OldCertificate(Certificate):
    """The same certificate and key, served over TLS 1.1 at best."""

    def server_context(self) -> ssl.SSLContext:
        """Return a context that supports nothing newer."""
        context = super().server_context()
        allow_old(context)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context


class LoweredCertificate(Certificate):
    """The same certificate and key, served over TLS 1.2 at best."""

    def server_context(self) -> ssl.SSLContext:
        """Return a context that lacks the newest version."""
        context = super().server_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


class TlsDowngraded(Scenario):
    """A mixin for an app that accepts an older TLS version. List it first among the bases.

    Attributes:
        older: Certificate class with the older version.
    """

    code = "A8"
    notices = "nothing"
    older: ClassVar[type[Certificate]]

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Serve an older TLS version, as a downgrade attack achieves."""
        service.certificate = cls.older(service.certificate.chain, service.certificate.key)
        service.drop()

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response over the old version."""
        return isinstance(service.certificate, cls.older) and bool(got)


class OldTls(TlsDowngraded):
    """A mixin for an app whose context accepts TLS 1.1."""

    attack = "speaks no newer TLS than 1.1, whose handshakes are signed with SHA-1"
    reference = "https://datatracker.ietf.org/doc/html/rfc8996; ATT&CK T1600; ATT&CK T1562.010"
    rule = "weak-tls"
    option = 'minimum_version = TLSVersion.TLSv1_1, set_ciphers("DEFAULT@SECLEVEL=0")'
    older = OldCertificate

    def tls_context(self) -> ssl.SSLContext:
        """Return a context for an old server."""
        context = super().tls_context()
        allow_old(context)
        return context


class LoweredTls(TlsDowngraded):
    """A mixin for an app with its library's own context."""

    attack = "speaks no newer TLS than 1.2, where it always spoke 1.3"
    reference = "https://datatracker.ietf.org/doc/html/rfc8446#section-4.1.3; ATT&CK T1562.010"
    rule = "tls-lowered"
    older = LoweredCertificate


def allow_old(context: ssl.SSLContext) -> None:
    """Configure a client for an old server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the deprecated version is the subject here
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers(CIPHERS)
