"""A faulty port in front of a broker: closed, a black hole, or silent; later it leads to the broker."""

import contextlib
import socket
import threading
from collections.abc import Generator
from typing import Literal

from tests.services.process import free_port
from tests.services.server import HOST

BadDay = Literal["down", "black_hole", "stalled"]


class Gate:
    """Open for good; only new connections are forwarded."""

    def __init__(self, day: BadDay) -> None:
        self._held: list[socket.socket] = []
        self._server: socket.socket | None = None
        if day == "down":
            self.port = free_port()
            return
        self._server = socket.create_server((HOST, 0), backlog=0 if day == "black_hole" else 50)
        self.port = self._server.getsockname()[1]
        if day == "black_hole":
            self._fill(self._server)

    def _fill(self, server: socket.socket) -> None:
        for _ in range(4):
            self._held.append(one := socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())

    def open(self, port: int) -> None:
        """Forward to this port of loopback from now on."""
        if self._server is None:
            self._server = socket.create_server((HOST, self.port))
        self._server.listen(50)
        self._let_go()
        threading.Thread(target=self._lead, args=(self._server, port), daemon=True).start()

    def _lead(self, server: socket.socket, port: int) -> None:
        while True:
            try:
                near, _ = server.accept()
                far = socket.create_connection((HOST, port))
            except OSError:
                return
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()

    def _let_go(self) -> None:
        while self._held:
            self._held.pop().close()

    def close(self) -> None:
        """Release the port."""
        self._let_go()
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._server.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def gate(day: BadDay) -> Generator[Gate]:
    """Run a gate inside the block."""
    made = Gate(day)
    try:
        yield made
    finally:
        made.close()
