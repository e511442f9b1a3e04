"""The truth about a TLS session, from the Python object that holds it: ``ssl.SSLSocket`` or ``ssl.SSLObject``.

``ssl`` is not imported here: imported before ``gevent`` patches it, it breaks the app. ``getpeercert()`` as a
dictionary is empty where nothing was verified, so the certificate's own bytes are read (see ``x509.py``).
"""

import hashlib
from typing import Any, Final, TypedDict

from backwatch.collector.session.x509 import DerError, parse_certificate

MAX_REMEMBERED: Final = 128
_VERSIONS: Final = {"SSLv2": "ssl2", "SSLv3": "ssl3", "TLSv1": "1.0"}
_seen: dict[bytes, "CertificateFacts"] = {}


class CertificateFacts(TypedDict, total=False):
    """Keyword arguments of :class:`~backwatch.collector.runtime.record.Session` that a certificate answers."""

    certificate_sha256: str
    not_before: str
    not_after: str
    issuer: str
    subject: str


class TlsFacts(CertificateFacts, total=False):
    """Keyword arguments of :class:`~backwatch.collector.runtime.record.Session` that a TLS connection answers."""

    encrypted: bool
    tls_version: str
    cipher: str
    verified: str


def format_tls_version(name: str | None) -> str:
    """The protocol's version as the span contract writes it.

    >>> [format_tls_version(name) for name in ("TLSv1.3", "TLSv1", "SSLv3", None)]
    ['1.3', '1.0', 'ssl3', '']
    """
    return _VERSIONS.get(name or "", (name or "").removeprefix("TLSv"))[:16]


def read_certificate_facts(der: bytes | None) -> CertificateFacts:
    """What a certificate says, from its DER bytes; for drivers that hand out the bytes and nothing else.

    The hash is upper-case hexadecimal, as OpenTelemetry's ``tls.server.hash.sha256`` is. A certificate that cannot be
    read still has its hash.
    """
    if not der:
        return {}
    known = _seen.get(der)
    if known is None:
        known = CertificateFacts(certificate_sha256=hashlib.sha256(der).hexdigest().upper())
        try:
            read = parse_certificate(der)
        except DerError:
            pass  # hostile or exotic: the hash alone still tells one certificate from another
        else:
            known.update(not_before=read.not_before, not_after=read.not_after, issuer=read.issuer, subject=read.subject)
        if len(_seen) >= MAX_REMEMBERED:
            _seen.clear()
        if len(der) <= 8192:
            _seen[der] = known
    return known.copy()


def read_tls_facts(connection: Any, *, verified: str | None = None) -> TlsFacts:
    """What is true of this TLS connection, as keyword arguments of ``Session``.

    Args:
        connection: An ``ssl.SSLSocket`` or ``ssl.SSLObject`` after its handshake; ``None`` is a connection without TLS.
        verified: ``none``, ``chain`` or ``full`` where the library checks by itself (urllib3 checks host names itself);
            else the connection's own context tells.
    """
    if connection is None:
        return {"encrypted": False}
    version = connection.version()
    if version is None:
        # Once a session broke, OpenSSL no longer says that its handshake was done: that is no plaintext. Nor where
        # the server had hung up before: Python then wraps what it takes for a socket that is yet to be connected.
        broke = getattr(connection, "_sslobj", None) is not None or getattr(connection, "_connected", None) is False
        return {} if broke else {"encrypted": False}
    if not isinstance(version, str):
        return {}  # an app's own tests may put a mock here, whose word is worth nothing
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
