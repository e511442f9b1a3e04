"""Facts of a connection that libpq and the OpenSSL below it know, for psycopg and psycopg2.

Both are reached through the driver's own extension module. Symbols of a library handle are looked up in it and in what
it links to, so each driver's wheel uses its own libraries. A search of the process map instead finds the other wheel's
libraries as soon as both are imported, and crashes.
"""

import ctypes
import functools
from typing import Any, Final, cast

from backwatch.collector.session.tls import TlsFacts, format_tls_version, read_certificate_facts

_POINTER: Final = ctypes.c_void_p
_VERIFY_PEER: Final = 1
_MAX_CERTIFICATE_BYTES: Final = 65_536
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "PQhostaddr": (ctypes.c_char_p, (_POINTER,)),
    "PQsslAttribute": (ctypes.c_char_p, (_POINTER, ctypes.c_char_p)),
    "PQsslStruct": (_POINTER, (_POINTER, ctypes.c_char_p)),
    "PQsslInUse": (ctypes.c_int, (_POINTER,)),
    "PQgssEncInUse": (ctypes.c_int, (_POINTER,)),
    "PQconnectionUsedPassword": (ctypes.c_int, (_POINTER,)),
    "PQconnectionUsedGSSAPI": (ctypes.c_int, (_POINTER,)),  # libpq 16
    "PQpass": (ctypes.c_char_p, (_POINTER,)),
    "SSL_get_certificate": (_POINTER, (_POINTER,)),
    "SSL_get1_peer_certificate": (_POINTER, (_POINTER,)),  # OpenSSL 3
    "SSL_get_peer_certificate": (_POINTER, (_POINTER,)),  # OpenSSL 1.1
    "SSL_get_verify_result": (ctypes.c_long, (_POINTER,)),
    "SSL_get_verify_mode": (ctypes.c_int, (_POINTER,)),
    "i2d_X509": (ctypes.c_int, (_POINTER, _POINTER)),
    "X509_free": (None, (_POINTER,)),
}
"""Result and all arguments of each function: an undeclared pointer is cut to 32 bits, and the process dies."""
USED_PASSWORD: Final = "used-password"  # noqa: S105  the name of a method, no secret
"""The server requested the password, by a method that libpq does not reveal."""
_LOGIN_FUNCTIONS: Final = ("PQconnectionUsedPassword", "PQconnectionUsedGSSAPI", "PQpass", "SSL_get_certificate")


class Libpq:
    """The functions of one driver's libpq that its build has."""

    def __init__(self, file: str) -> None:
        library = ctypes.CDLL(file)
        self._functions: dict[str, Any] = {}
        for name, (result, arguments) in _SIGNATURES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                continue
            function.restype = result
            function.argtypes = arguments
            self._functions[name] = function

    def _call(self, name: str, *arguments: Any) -> Any:
        function = self._functions.get(name)
        return None if function is None else function(*arguments)

    def read_peer(self, pgconn: int) -> str:
        """Return the numeric address of an open connection's server; empty for a unix socket."""
        return _text(self._call("PQhostaddr", pgconn))

    def read_tls(self, pgconn: int, sslmode: str) -> TlsFacts:
        """Return the facts of an open connection's encryption.

        Args:
            pgconn: Address of an open ``PGconn``.
            sslmode: In effect on it; shows only whether the host's name was compared.
        """
        in_use = self._call("PQsslInUse", pgconn)
        if not in_use:
            # Kerberos encrypts without TLS: both "not encrypted" and "TLS" would be wrong.
            return {} if in_use is None or self._call("PQgssEncInUse", pgconn) else {"encrypted": False}
        facts = TlsFacts(
            encrypted=True,
            tls_version=format_tls_version(_text(self._call("PQsslAttribute", pgconn, b"protocol"))),
            cipher=_text(self._call("PQsslAttribute", pgconn, b"cipher"))[:80],
        )
        session = self._call("PQsslStruct", pgconn, b"OpenSSL")
        if session:
            facts["verified"] = self._read_verification(session, sslmode)
            facts.update(cast("TlsFacts", read_certificate_facts(self._read_certificate(session))))
        elif sslmode in ("verify-ca", "verify-full"):
            facts["verified"] = "full" if sslmode == "verify-full" else "chain"
        return facts

    def read_login(self, pgconn: int) -> str:
        """Return the login method of an open connection, as far as libpq reveals it; empty where it is unknown.

        ``none`` where the app had a password and the server requested nothing: neither it nor a certificate or a
        ticket. On a unix socket the server may know its peer without a request.
        """
        if self._call("PQconnectionUsedPassword", pgconn):
            return USED_PASSWORD
        if not all(name in self._functions for name in _LOGIN_FUNCTIONS) or not self.read_peer(pgconn):
            return ""
        session = self._call("PQsslStruct", pgconn, b"OpenSSL")
        certificate = session and self._call("SSL_get_certificate", session)
        proof = certificate or self._call("PQconnectionUsedGSSAPI", pgconn)
        return "" if proof or not self._call("PQpass", pgconn) else "none"

    def _read_verification(self, session: int, sslmode: str) -> str:
        # Not from sslmode alone: "require" verifies the chain as soon as a root certificate lies in its usual place.
        mode, result = self._call("SSL_get_verify_mode", session), self._call("SSL_get_verify_result", session)
        if mode is None or result is None:
            return ""
        if not mode & _VERIFY_PEER or result != 0:
            return "none"
        return "full" if sslmode == "verify-full" else "chain"

    def _read_certificate(self, session: int) -> bytes | None:
        get = self._functions.get("SSL_get1_peer_certificate") or self._functions.get("SSL_get_peer_certificate")
        if get is None or "i2d_X509" not in self._functions or "X509_free" not in self._functions:
            return None
        certificate = get(session)
        if not certificate:
            return None
        try:
            size = self._call("i2d_X509", certificate, None)
            if not 0 < size <= _MAX_CERTIFICATE_BYTES:
                return None
            buffer = ctypes.create_string_buffer(size)
            at = _POINTER(ctypes.addressof(buffer))
            self._call("i2d_X509", certificate, ctypes.byref(at))
            return buffer.raw
        finally:
            self._call("X509_free", certificate)


@functools.lru_cache(maxsize=8)
def load_libpq(file: str) -> Libpq | None:
    """Return the libpq behind this extension module; ``None`` where it cannot be loaded."""
    try:
        return Libpq(file)
    except OSError:
        return None


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace")
