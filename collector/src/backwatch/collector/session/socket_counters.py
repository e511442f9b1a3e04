"""Byte counters of connections, read from the kernel by ``TCP_INFO``; this works for C drivers, too.

Bytes sent without retransmissions, and bytes received, including TLS records (Linux ``struct tcp_info``, kernel 4.19
or newer). Unix sockets and multiplexed connections have no such counters: their volume is unknown, or marked as an
estimate.

The descriptor is only read, by ``getsockopt`` through ``ctypes``. It is never duplicated, owned or closed: a duplicate
would keep the app's connection open after the app has closed it.
"""

import ctypes
import struct
import sys
from typing import Any, Final

UNKNOWN: Final = (-1, -1)

_IPPROTO_TCP: Final = ctypes.c_int(6)
_TCP_INFO: Final = ctypes.c_int(11)
_COUNTERS: Final = struct.Struct("=128xQ64xQQ")  # bytes_received, bytes_sent, bytes_retrans
_SIZE: Final = _COUNTERS.size
_unpack = _COUNTERS.unpack_from


def _kernel_call() -> Any:
    """Return a ``getsockopt`` that keeps the GIL: it never blocks, and releasing the GIL costs more than the call."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # No ``argtypes``: they would be converted at every call. The arguments are ctypes objects, made once per
        # socket.
        return ctypes.PyDLL(None).getsockopt
    except (OSError, AttributeError):
        return None


_getsockopt = _kernel_call()


class SocketCounters:
    """The byte counters of one connection; each reading returns the bytes since the last one.

    The first reading counts from the connection's start: the handshake belongs to the first call, ``connect``.
    One reading costs about 1 µs.
    """

    __slots__ = ("_arguments", "_buffer", "_fd", "_length", "_received", "_sent")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sent = 0
        self._received = 0
        self._buffer = ctypes.create_string_buffer(_SIZE)
        self._length = ctypes.c_uint32(_SIZE)
        self._arguments = self._of(fd)

    def _of(self, fd: int) -> tuple[object, ...]:
        # Plain addresses: both buffers live as long as this object.
        buffer, length = ctypes.addressof(self._buffer), ctypes.addressof(self._length)
        return ctypes.c_int(fd), _IPPROTO_TCP, _TCP_INFO, ctypes.c_void_p(buffer), ctypes.c_void_p(length)

    def rebind(self, fd: int) -> None:
        """Switch to the descriptor of a new connection, whose counters start at zero."""
        self._fd = fd
        self._arguments = self._of(fd)
        self._sent = 0
        self._received = 0
        self._length.value = _SIZE

    def read_delta(self) -> tuple[int, int]:
        """Return the bytes sent and received since the last reading; (-1, -1) if they are unknown."""
        if self._fd < 0 or _getsockopt is None:
            return UNKNOWN
        if _getsockopt(*self._arguments) != 0:
            return UNKNOWN  # a unix socket, a pipe, or closed meanwhile
        if self._length.value < _SIZE:
            self._length.value = _SIZE
            return UNKNOWN  # the kernel's structure ends before these counters
        received, sent, again = _unpack(self._buffer)
        sent -= again
        out, into = sent - self._sent, received - self._received
        self._sent, self._received = sent, received
        if out < 0 or into < 0:
            return UNKNOWN  # the descriptor now belongs to another socket: counting starts again
        return out, into
