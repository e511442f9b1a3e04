"""The peer of a socket of which only the descriptor is known: drivers in C.

The descriptor is only read, through ``ctypes``: never duplicated, owned or closed (see ``socket_counters.py``).
"""

import ctypes
import socket
import struct
from typing import Any, Final

from backwatch.collector.probes.toolkit.sockets import PeerFacts

_ADDRESS_BYTES: Final = 128
_MAX_PATH_CHARS: Final = 200


def _kernel_call() -> Any:
    try:
        call = ctypes.PyDLL(None).getpeername
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    call.restype = ctypes.c_int
    return call


_getpeername = _kernel_call()


def peer_of(descriptor: int) -> PeerFacts:
    """Return the numeric address of the peer, or the path of a unix socket; empty where it is unknown."""
    if descriptor < 0 or _getpeername is None:
        return {}
    buffer, length = ctypes.create_string_buffer(_ADDRESS_BYTES), ctypes.c_uint32(_ADDRESS_BYTES)
    if _getpeername(descriptor, ctypes.addressof(buffer), ctypes.addressof(length)) != 0:
        return {}
    raw = buffer.raw[: min(length.value, _ADDRESS_BYTES)]
    family = struct.unpack_from("=H", raw)[0] if len(raw) >= 2 else -1
    if family == socket.AF_INET and len(raw) >= 8:
        return _tcp(socket.inet_ntop(socket.AF_INET, raw[4:8]), raw)
    if family == socket.AF_INET6 and len(raw) >= 24:
        return _tcp(socket.inet_ntop(socket.AF_INET6, raw[8:24]), raw)
    if family == getattr(socket, "AF_UNIX", -2):
        path = raw[2:].split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
        return {"transport": "unix", "peer_address": path[:_MAX_PATH_CHARS]}
    return {}


def _tcp(address: str, raw: bytes) -> PeerFacts:
    return {"transport": "tcp", "peer_address": address, "peer_port": int.from_bytes(raw[2:4], "big")}
