"""The server's certificate of an open connection, which libpq holds and does not show.

Reached through the driver's own extension module: a symbol of a library handle is looked up in it and in what it links
to, so that each driver's wheel uses its own libraries.
"""

import ctypes
import functools
from typing import Any, Final

MAX_CERTIFICATE_BYTES: Final = 65_536
_POINTER: Final = ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "PQsslStruct": (_POINTER, (_POINTER, ctypes.c_char_p)),
    "SSL_get1_peer_certificate": (_POINTER, (_POINTER,)),
    "i2d_X509": (ctypes.c_int, (_POINTER, _POINTER)),
    "X509_free": (None, (_POINTER,)),
}
"""Result and arguments: an undeclared pointer is cut to 32 bits, and the process dies."""


@functools.cache
def _load(file: str) -> dict[str, Any] | None:
    functions: dict[str, Any] = {}
    try:
        library = ctypes.CDLL(file)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            functions[name] = function
    except (OSError, AttributeError):
        return None
    return functions


def read_certificate(file: str | None, pgconn: int | None) -> bytes | None:
    """Return the certificate in DER, or ``None`` where this build does not allow it.

    Args:
        file: Of the extension module.
        pgconn: Address of an open ``PGconn``.
    """
    functions = _load(file) if file and pgconn else None
    session = functions["PQsslStruct"](pgconn, b"OpenSSL") if functions else None
    certificate = functions["SSL_get1_peer_certificate"](session) if functions and session else None
    if functions is None or not certificate:
        return None
    try:
        size = functions["i2d_X509"](certificate, None)
        if not 0 < size <= MAX_CERTIFICATE_BYTES:
            return None
        buffer = ctypes.create_string_buffer(size)
        place = _POINTER(ctypes.addressof(buffer))
        functions["i2d_X509"](certificate, ctypes.byref(place))
        return buffer.raw
    finally:
        functions["X509_free"](certificate)
