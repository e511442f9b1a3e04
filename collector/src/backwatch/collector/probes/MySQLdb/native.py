"""Facts of a connection that the C library below mysqlclient knows and the driver does not offer. Nothing is sent.

The pointer comes from the driver itself, as a capsule, never from the layout of its objects. The functions come from
the handle of the driver's own extension module, so that they are those of the library that it is linked with. Where
either is missing, everything is unknown. Only libmariadb reveals the version of TLS and the account.
"""

import ctypes
from typing import Any, Final, NamedTuple

_CAPSULE: Final = b"_mysql.connection.native_connection"
_TLS_VERSION: Final = 23
_USER: Final = 27
"""Of ``enum mariadb_value`` in ``mysql.h``, which only ever grows at its end."""
_MAX_TEXT_BYTES: Final = 200


class Native(NamedTuple):
    """Facts from the C library.

    Attributes:
        is_known: False where the library could not be called; the rest then means nothing.
        cipher: ``""`` on a connection without TLS.
    """

    is_known: bool
    cipher: str = ""
    version: str = ""
    user: str = ""


UNKNOWN: Final = Native(is_known=False)


class Library:
    """The functions of one extension module's client library."""

    def __init__(self, file: str) -> None:
        library = ctypes.PyDLL(file)  # with the GIL held: none of these waits
        self._cipher = library.mysql_get_ssl_cipher
        self._cipher.argtypes, self._cipher.restype = (ctypes.c_void_p,), ctypes.c_char_p
        self._info: Any = getattr(library, "mariadb_get_info", None)
        if self._info is not None:
            self._info.argtypes, self._info.restype = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p), ctypes.c_byte
        # A separate prototype: the attributes of ``pythonapi``'s functions are shared by the whole process.
        prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
        self._pointer = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))

    def read(self, connection: Any) -> Native:
        """Read the facts of an open connection."""
        get_capsule = getattr(connection, "_get_native_connection", None)
        pointer = None if get_capsule is None else self._pointer(get_capsule(), _CAPSULE)
        if not pointer:
            return UNKNOWN
        cipher = self._cipher(pointer)
        return Native(
            is_known=True,
            cipher=_text(cipher),
            version=self._read_value(pointer, _TLS_VERSION) if cipher else "",
            user=self._read_value(pointer, _USER),
        )

    def _read_value(self, pointer: int, key: int) -> str:
        if self._info is None:
            return ""
        value = ctypes.c_char_p()
        return _text(value.value) if self._info(pointer, key, ctypes.addressof(value)) == 0 else ""


def _text(value: bytes | None) -> str:
    return (value or b"")[:_MAX_TEXT_BYTES].decode("utf-8", "replace")


_libraries: dict[str, Library | None] = {}


def library(file: str) -> Library | None:
    """Return the library below this extension module; ``None`` where it lacks these functions."""
    if file not in _libraries:
        try:
            _libraries[file] = Library(file)
        except (OSError, AttributeError):
            _libraries[file] = None
    return _libraries[file]
