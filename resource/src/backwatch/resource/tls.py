"""TLS as the policy asks for it: contexts for drivers in Python, a file of authorities for those in C, and errors."""

import hashlib
import os
import ssl
from pathlib import Path
from typing import Final

from backwatch.resource.errors import ResourceMisconfigured, walk_causes
from backwatch.resource.plain_text import shorten
from backwatch.resource.policy import SYSTEM, Policy

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SYSTEM_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)  # fmt: skip
"""Debian and Alpine, Red Hat, macOS and BSD, SUSE."""


VERSION_REASONS: Final = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "VERSION_TOO_LOW")
"""Ends of OpenSSL's reasons for peers without a version in common."""


def find_ca_file(policy: Policy) -> str:
    """Return the file of authorities for a driver that needs one.

    Raises:
        ResourceMisconfigured: It does not exist.
    """
    named = policy.text("ca")
    if named != SYSTEM:
        if not Path(named).is_file():
            raise ResourceMisconfigured(f"{policy.sources.get('ca', 'ca')}: ca = {shorten(named)!r}: no such file")
        return named
    default = ssl.get_default_verify_paths()
    for candidate in (os.environ.get("SSL_CERT_FILE"), default.cafile, *SYSTEM_FILES):
        if candidate and Path(candidate).is_file():
            return candidate
    raise ResourceMisconfigured("ca = 'system': this machine has no file of authorities; name one")


def make_context(policy: Policy) -> ssl.SSLContext:
    """Return a client's context: authorities, name check and lowest version of the policy."""
    wanted = policy.text("tls")
    context = ssl.create_default_context(cafile=None if policy.text("ca") == SYSTEM else find_ca_file(policy))
    context.minimum_version = VERSIONS[policy.text("tls_min")]
    context.check_hostname = wanted == "verify-full"
    context.verify_mode = ssl.CERT_NONE if wanted in ("require", "off") else ssl.CERT_REQUIRED
    return context


def fingerprint(der: bytes) -> str:
    """Return a certificate's SHA-256 in hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def name_check(error: BaseException) -> str:
    """Return the setting that an error of TLS violates: ``tls_min`` if no version is left, else ``tls``."""
    for found in walk_causes(error, contexts=True):
        if isinstance(found, ssl.SSLError) and str(found.reason).endswith(VERSION_REASONS):
            return "tls_min"
    return "tls"


def describe_error(error: BaseException) -> str:
    """Return what TLS found wrong, from anywhere in a chain of exceptions; empty: TLS is not the cause."""
    for found in walk_causes(error, contexts=True):
        if isinstance(found, ssl.SSLCertVerificationError):
            return shorten(f"the certificate was not verified: {found.verify_message}")
        if isinstance(found, ssl.SSLError):
            return shorten(f"TLS failed: {found.reason or found}")
        if isinstance(found, TimeoutError) and "handshake" in str(found):
            return "TLS failed: the server leaves the handshake unanswered"
    return ""
