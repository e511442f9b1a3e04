"""A8: the service goes back to TLS 1.2, or to 1.1, which a client that was told to bear old servers accepts."""

import ssl
import warnings
from typing import ClassVar

from backwatch.attack.authority import Authority, Certificate
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

CIPHERS = "DEFAULT@SECLEVEL=0"
"""OpenSSL's words for: whatever there is, signatures with SHA-1 too, without which TLS 1.1 does not work."""


class OldCertificate(Certificate):
    """The same certificate and key, served over TLS 1.1 at best."""

    def server_context(self) -> ssl.SSLContext:
        """A context that speaks nothing newer."""
        context = super().server_context()
        allow_old(context)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context


class LoweredCertificate(Certificate):
    """The same certificate and key, served over TLS 1.2 at best."""

    def server_context(self) -> ssl.SSLContext:
        """A context that does not speak the newest."""
        context = super().server_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


class OldTls(Scenario):
    """Goes before an app whose context bears old versions, in the list of a class's bases.

    Attributes:
        honest: The service, which is so but for this.
        older: How it serves its certificate then.
    """

    code = "A8"
    attack = "speaks no newer TLS than 1.1, whose handshakes are signed with SHA-1"
    reference = "https://datatracker.ietf.org/doc/html/rfc8996; ATT&CK T1600; ATT&CK T1562.010"
    rule = "weak-tls"
    notices = "nothing"

    honest: ClassVar[type[HostileServer]]
    older: ClassVar[type[Certificate]] = OldCertificate

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the honest service."""
        return cls.honest(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """What whoever stands in between wants of both."""
        service.certificate = cls.older(service.certificate.chain, service.certificate.key)
        service.drop()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response over the old version."""
        return isinstance(service.certificate, cls.older) and bool(got)


class LoweredTls(OldTls):
    """Goes before an app whose context is its library's own."""

    attack = "speaks no newer TLS than 1.2, where it always spoke 1.3"
    reference = "https://datatracker.ietf.org/doc/html/rfc8446#section-4.1.3; ATT&CK T1562.010"
    rule = "tls-lowered"
    older = LoweredCertificate


def allow_old(context: ssl.SSLContext) -> None:
    """What a client does for the sake of an old server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what is shown
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers(CIPHERS)
