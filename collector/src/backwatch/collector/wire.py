"""Bytes on the wire, from the kernel: ``TCP_INFO`` of the connection's socket, for C drivers too.

Sent less retransmitted, and received, TLS records included (Linux ``struct tcp_info``, kernel 4.19 or newer). Unix sockets
and multiplexed connections have no such figure: unknown, or an estimate that is marked as one.
"""


class Wire:
    """The byte counters of one connection; each reading gives what went by since the last one."""

    __slots__ = ("_fd", "_received", "_sent")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sent = 0
        self._received = 0

    def since_last(self) -> tuple[int, int]:
        """Bytes sent and received since the last reading; (-1, -1) where the kernel does not say."""
        raise NotImplementedError
