"""What pytds knows of a connection: what was asked for, what came of it, and who logged in."""

import sys
from typing import Any, Final, TypedDict

from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, format_tls_version, read_certificate_facts

MAX_TEXT: Final = 200
SYSTEM: Final = "microsoft.sql_server"
LOGIN_ONLY: Final = 0
"""What a client says in PRELOGIN to have nothing but its login encrypted."""
_METHODS: Final = {"KerberosAuth": "kerberos", "SspiAuth": "sspi", "NtlmAuth": "ntlm"}


class LoginFacts(TypedDict, total=False):
    """Keyword arguments of ``Session`` that a login answers."""

    account: str
    auth_method: str


def socket_of(tds: Any) -> Any:
    """The connection's own socket, below TLS."""
    transport = tds.sock
    return getattr(transport, "_transport", transport)


def _requested(login: Any) -> tuple[str, bool]:
    """TLS that the app asked for: none without an authority's file; for the login alone is none for the session."""
    if getattr(login, "tls_ctx", None) is None:
        return "disable", False
    if login.enc_flag == LOGIN_ONLY:
        return "disable", True
    return ("verify-full" if login.validate_host else "verify-ca"), True


def _tls(tds: Any, login: Any, *, answered: bool) -> TlsFacts:
    connection = getattr(tds.sock, "_tls_conn", None)
    if connection is None:
        return {"encrypted": False} if answered else {}
    certificate = connection.get_peer_certificate()
    return TlsFacts(
        encrypted=True,
        tls_version=format_tls_version(connection.get_protocol_version_name()),
        cipher=words(connection.get_cipher_name(), 80),
        verified="full" if login.validate_host else "chain",  # without an authority's file there is no TLS
        **read_certificate_facts(_der(certificate)),
    )


def _der(certificate: Any) -> bytes | None:
    """The certificate's own bytes, by the library that read them."""
    crypto: Any = sys.modules.get("OpenSSL.crypto")
    return None if certificate is None or crypto is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _login(login: Any) -> LoginFacts:
    if getattr(login, "access_token", None):
        return {"auth_method": "token"}
    if login.auth is not None:
        return {"auth_method": _METHODS.get(type(login.auth).__name__, "")}
    # TDS hides a password behind a fixed pattern: whoever reads the line reads it.
    return {"account": words(login.user_name, MAX_TEXT), "auth_method": "clear-password"}


def version_of(number: object) -> str:
    """A server's version as it is usually written.

    >>> version_of(0x1000101D)
    '16.0.4125'
    """
    if not isinstance(number, int) or number <= 0:
        return ""
    return f"{number >> 24}.{number >> 16 & 255}.{number & 0xFFFF}"


def asked(login: Any, host: object, port: object) -> Session:
    """What is known of an attempt before the first byte."""
    requested, explicit = _requested(login)
    return Session(
        system=SYSTEM, address=words(host, MAX_TEXT), port=port if isinstance(port, int) else 0,
        namespace=words(login.database, MAX_TEXT), requested=requested, requested_explicit=explicit,
        account=_login(login).get("account", ""),
    )  # fmt: skip


def told(tds: Any, host: object, *, answered: bool) -> Session:
    """What is known of the connection at this moment.

    Args:
        answered: The server has answered the login, be it with an error.
    """
    login, socket = tds._login, socket_of(tds)
    before, far = asked(login, host, 0), peer(socket)
    return Session(
        system=before.system, address=before.address, port=far.get("peer_port", 0),
        namespace=words(tds.env.database, MAX_TEXT) or before.namespace, requested=before.requested,
        requested_explicit=before.requested_explicit, server_version=version_of(tds.product_version),
        **_login(login), **far, **_tls(tds, login, answered=answered),
    )  # fmt: skip


def number_of(tds: Any) -> int:
    """The descriptor of the connection's socket; -1 where it is closed."""
    return descriptor(socket_of(tds))
