"""Facts of a TLS session, read from the ``ssl.SSLSocket`` or ``ssl.SSLObject`` that holds it.

``ssl`` is not imported here: an import before ``gevent`` patches it breaks the app. The dictionary of
``getpeercert()`` is empty if nothing was verified, so the certificate's own bytes are read (see ``x509.py``).
"""

import hashlib
import sys
from typing import Any, Final, TypedDict

from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.session.x509 import DerError, parse_certificate

MAX_REMEMBERED: Final = 128
_VERSIONS: Final = {"SSLv2": "ssl2", "SSLv3": "ssl3", "TLSv1": "1.0"}
_seen: dict[bytes, "CertificateFacts"] = {}


class CertificateFacts(TypedDict, total=False):
    """Keyword arguments of :class:`~backwatch.collector.runtime.record.Session` that a certificate provides."""

    certificate_sha256: str
    not_before: str
    not_after: str
    issuer: str
    subject: str


class TlsFacts(CertificateFacts, total=False):
    """Keyword arguments of :class:`~backwatch.collector.runtime.record.Session` that a TLS connection provides."""

    encrypted: bool
    tls_version: str
    cipher: str
    verified: str


def format_tls_version(name: str | None) -> str:
    """Return the protocol's version as the span contract writes it.

    >>> [format_tls_version(name) for name in ("TLSv1.3", "TLSv1", "SSLv3", None)]
    ['1.3', '1.0', 'ssl3', '']
    """
    return _VERSIONS.get(name or "", (name or "").removeprefix("TLSv"))[:16]


def read_certificate_facts(der: bytes | None) -> CertificateFacts:
    """Return a certificate's facts from its DER bytes, for drivers that expose nothing else.

    The hash is upper-case hexadecimal, as in OpenTelemetry's ``tls.server.hash.sha256``. A certificate that cannot be
    parsed still has its hash.
    """
    if not der:
        return {}
    known = _seen.get(der)
    if known is None:
        known = CertificateFacts(certificate_sha256=hashlib.sha256(der).hexdigest().upper())
        try:
            read = parse_certificate(der)
        except DerError:
            pass  # hostile or exotic: the hash alone still identifies the certificate
        else:
            known.update(not_before=read.not_before, not_after=read.not_after, issuer=read.issuer, subject=read.subject)
        if len(der) <= 8192:
            remember(_seen, der, known, MAX_REMEMBERED)
    return known.copy()


def read_tls_facts(connection: Any, *, verified: str | None = None) -> TlsFacts:
    """Return the facts of this TLS connection as keyword arguments of ``Session``.

    Args:
        connection: An ``ssl.SSLSocket`` or ``ssl.SSLObject`` after its handshake; ``None``: a connection without TLS.
        verified: ``none``, ``chain`` or ``full`` if the library verifies by itself (urllib3 checks host names itself);
            ``None``: taken from the connection's context.
    """
    if connection is None:
        return {"encrypted": False}
    version = connection.version()
    if version is None:
        # After an error in a session OpenSSL no longer reports its handshake, but that is no plaintext. Nor is it if
        # the server had closed before: Python then wraps the socket as one that is not connected yet.
        broke = getattr(connection, "_sslobj", None) is not None or getattr(connection, "_connected", None) is False
        return {} if broke else {"encrypted": False}
    if not isinstance(version, str):
        return {}  # a mock of the app's own tests
    cipher = connection.cipher() if hasattr(connection, "cipher") else None
    if verified is None:
        context = connection.context
        verified = "none" if context.verify_mode == 0 else "full" if context.check_hostname else "chain"
    return TlsFacts(
        encrypted=True,
        tls_version=format_tls_version(version),
        cipher=str(cipher[0])[:80] if cipher else "",
        verified=verified,
        **read_certificate_facts(connection.getpeercert(binary_form=True)),
    )


def read_pyopenssl_facts(connection: Any, verified: str) -> TlsFacts:
    """Return the facts of a pyOpenSSL connection.

    Args:
        verified: Not to be read from the connection: ``none``, ``chain`` or ``full``; ``""`` where it is unknown.
    """
    certificate, crypto = connection.get_peer_certificate(), sys.modules.get("OpenSSL.crypto")
    der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) if certificate is not None and crypto else None
    return TlsFacts(
        encrypted=True,
        tls_version=format_tls_version(connection.get_protocol_version_name()),
        cipher=(connection.get_cipher_name() or "")[:80],
        verified=verified,
        **read_certificate_facts(der),
    )
