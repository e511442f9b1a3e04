"""Sessions of pytds connections: the app's options, the result of TLS, and the login."""

from dataclasses import replace
from typing import Any, Final, TypedDict

from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS, build_session
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.probes.toolkit.tls_contexts import VERIFICATIONS, mode_of
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, read_pyopenssl_facts

_LOGIN_ONLY: Final = 0
"""The encryption flag of PRELOGIN by which a client has only its login encrypted."""
_METHODS: Final = {"KerberosAuth": "kerberos", "SspiAuth": "sspi", "NtlmAuth": "ntlm"}


class LoginFacts(TypedDict, total=False):
    """Facts of a login, as keyword arguments of ``Session``."""

    account: str
    auth_method: str


def socket_of(tds: Any) -> Any:
    """Return the connection's own socket, below TLS."""
    transport = tds.sock
    return getattr(transport, "_transport", transport)


def descriptor_of(tds: Any) -> int:
    """Return the descriptor of the connection's socket; -1 where it is closed."""
    return descriptor(socket_of(tds))


def _requested_tls(login: Any) -> tuple[str, bool]:
    """Return the requested mode: without an authority's file there is no TLS, and TLS for the login alone is none."""
    if getattr(login, "tls_ctx", None) is None:
        return "disable", False
    if login.enc_flag == _LOGIN_ONLY:
        return "disable", True
    return mode_of(verifies=True, checks_name=login.validate_host), True


def _read_tls(tds: Any, login: Any, *, has_response: bool) -> TlsFacts:
    connection = getattr(tds.sock, "_tls_conn", None)
    if connection is None:
        return {"encrypted": False} if has_response else {}
    # Without an authority's file there is no TLS.
    return read_pyopenssl_facts(connection, VERIFICATIONS[mode_of(verifies=True, checks_name=login.validate_host)])


def _read_login(login: Any) -> LoginFacts:
    if getattr(login, "access_token", None):
        return {"auth_method": "token"}
    if login.auth is not None:
        return {"auth_method": _METHODS.get(type(login.auth).__name__, "")}
    # TDS hides a password behind a fixed pattern: a reader of the line can read the password.
    return {"account": words(login.user_name, MAX_TEXT_CHARACTERS), "auth_method": "clear-password"}


def format_version(number: object) -> str:
    """Return a server's version as it is usually written.

    >>> format_version(0x1000101D)
    '16.0.4125'
    """
    if not isinstance(number, int) or number <= 0:
        return ""
    return f"{number >> 24}.{number >> 16 & 255}.{number & 0xFFFF}"


def describe_request(login: Any, host: object, port: object) -> Session:
    """Describe an attempt before the first byte."""
    return build_session(
        "microsoft.sql_server", host, port, tls=_requested_tls(login), database=login.database,
        account=_read_login(login).get("account", ""),
    )  # fmt: skip


def describe_connection(tds: Any, host: object, *, has_response: bool) -> Session:
    """Describe the connection at this moment.

    Args:
        has_response: The server has responded to the login, be it with an error.
    """
    login, far = tds._login, peer(socket_of(tds))
    request = describe_request(login, host, far.get("peer_port", 0))
    return replace(
        request,
        namespace=words(tds.env.database, MAX_TEXT_CHARACTERS) or request.namespace,
        server_version=format_version(tds.product_version),
        **{"account": "", **_read_login(login)},
        **far,
        **_read_tls(tds, login, has_response=has_response),
    )
