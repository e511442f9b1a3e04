"""What the C library below mysqlclient knows of a connection and the driver does not hand out. Nothing is sent.

The pointer comes from the driver itself, as a capsule, never from the layout of its objects; the functions come from
the handle of the driver's own extension module, so that they are those of the library that it is linked with. Where
either is missing, everything is unknown. Only libmariadb tells the version of TLS and the account.
"""

import ctypes
from typing import Any, Final, NamedTuple

_CAPSULE: Final = b"_mysql.connection.native_connection"
_TLS_VERSION: Final = 23
_USER: Final = 27
"""Of ``enum mariadb_value`` in ``mysql.h``, which only ever grows at its end."""


class Native(NamedTuple):
    """What the library said.

    Attributes:
        known: False where it could not be asked; the rest then means nothing.
        cipher: ``""`` on a connection without TLS.
    """

    known: bool
    cipher: str = ""
    version: str = ""
    user: str = ""


UNKNOWN: Final = Native(known=False)


class Library:
    """The functions of one extension module's client library."""

    def __init__(self, file: str) -> None:
        library = ctypes.PyDLL(file)  # with the GIL held: none of these waits
        self._cipher = library.mysql_get_ssl_cipher
        self._cipher.argtypes, self._cipher.restype = (ctypes.c_void_p,), ctypes.c_char_p
        self._info: Any = getattr(library, "mariadb_get_info", None)
        if self._info is not None:
            self._info.argtypes, self._info.restype = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p), ctypes.c_byte
        # A prototype of our own: the attributes of ``pythonapi``'s functions belong to everybody.
        prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
        self._pointer = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))

    def ask(self, connection: Any) -> Native:
        """What it knows of this open connection."""
        give = getattr(connection, "_get_native_connection", None)
        pointer = None if give is None else self._pointer(give(), _CAPSULE)
        if not pointer:
            return UNKNOWN
        cipher = self._cipher(pointer)
        return Native(
            known=True,
            cipher=_text(cipher),
            version=self._say(pointer, _TLS_VERSION) if cipher else "",
            user=self._say(pointer, _USER),
        )

    def _say(self, pointer: int, what: int) -> str:
        if self._info is None:
            return ""
        answer = ctypes.c_char_p()
        if self._info(pointer, what, ctypes.addressof(answer)) != 0:
            return ""
        return _text(answer.value)


def _text(value: bytes | None) -> str:
    return (value or b"")[:200].decode("utf-8", "replace")


_libraries: dict[str, Library | None] = {}


def library(file: str) -> Library | None:
    """The library below this extension module; ``None`` where it has not these functions."""
    if file not in _libraries:
        try:
            _libraries[file] = Library(file)
        except (OSError, AttributeError):
            _libraries[file] = None
    return _libraries[file]
