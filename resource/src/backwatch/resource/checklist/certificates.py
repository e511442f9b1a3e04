"""TLS of a service, looked at through handshakes of our own: no password is sent over any of them."""

import contextlib
import ssl
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backwatch.resource.inspections import Link
from backwatch.resource.opening import Attachment
from backwatch.resource.plain_text import shorten
from backwatch.resource.tls import find_ca_file, make_context

Connect = Callable[[], Link]
"""Returns a connection on which TLS may begin.

Raises:
    OSError: The service does not respond, or refuses TLS.
"""
OLD_VERSIONS: Final = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What handshakes showed.

    Attributes:
        version: Negotiated by a modern client, ``1.3``.
        fault: What verification of chain and name found; empty: nothing.
        days_left: Until the certificate ends; negative: it has ended; ``None``: unknown.
        old: Versions below 1.2 that the service still speaks.
    """

    version: str
    fault: str
    days_left: float | None
    old: tuple[str, ...] = ()


def read_tls_facts(connect: Connect, attachment: Attachment) -> TlsFacts:
    """Shake hands several times.

    Raises:
        OSError: The service does not speak TLS.
    """
    host = attachment.url.host
    with connect() as link, _make_unverified().wrap_socket(link.socket, server_hostname=host) as session:
        version, certificate = session.version() or "", session.getpeercert(binary_form=True)
    return TlsFacts(
        version=version.removeprefix("TLSv"),
        fault=_verify(connect, attachment),
        days_left=_count_days(connect, host, certificate) if certificate else None,
        old=tuple(_list_old(connect, host)),
    )


def _make_unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _verify(connect: Connect, attachment: Attachment) -> str:
    context = make_context(attachment.policy)
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    if attachment.policy.text("ca") != "system":
        context.load_verify_locations(find_ca_file(attachment.policy))
    try:
        with connect() as link, context.wrap_socket(link.socket, server_hostname=attachment.url.host):
            return ""
    except ssl.SSLCertVerificationError as error:
        return shorten(error.verify_message or str(error))
    except ssl.SSLError as error:
        return shorten(str(error.reason or error))


def _count_days(connect: Connect, host: str, certificate: bytes) -> float | None:
    """Trust the service's own certificate: only then does Python's TLS show its dates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    try:
        with connect() as link, context.wrap_socket(link.socket, server_hostname=host) as session:
            shown = session.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return -1.0 if "expired" in error.verify_message else None
    except OSError:
        return None
    ends = shown.get("notAfter")
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86_400 if isinstance(ends, str) else None


def _list_old(connect: Connect, host: str) -> list[str]:
    found: list[str] = []
    for version in OLD_VERSIONS:
        context = _make_unverified()
        with warnings.catch_warnings(), contextlib.suppress(ssl.SSLError, ValueError, OSError):
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            with connect() as link, context.wrap_socket(link.socket, server_hostname=host) as session:
                found.append((session.version() or "").removeprefix("TLSv"))
    return found
