"""A proxy that authenticates: it adds headers to every request, on web sockets as well, and forwards the bytes."""

import contextlib
import socket
import threading
from collections.abc import Generator, Mapping

from tests.services.process import free_port


@contextlib.contextmanager
def login_proxy(to_port: int, headers: Mapping[str, str]) -> Generator[int]:
    """Give the port of a proxy before the dashboard at ``to_port``, which adds these headers.

    Each request but an upgrade gets a connection of its own, so that no later request escapes the proxy.
    """
    port = free_port()
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    added = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()

    def pipe(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(browser: socket.socket) -> None:
        with browser, socket.create_connection(("127.0.0.1", to_port)) as dashboard, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                more = browser.recv(65_536)
                if not more:
                    return
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            if not any(line.lower().startswith(b"upgrade:") for line in lines):
                lines = [line for line in lines if not line.lower().startswith(b"connection:")] + [b"Connection: close"]
            dashboard.sendall(b"\r\n".join(lines) + b"\r\n" + added + b"\r\n" + body)
            back = threading.Thread(target=pipe, args=(dashboard, browser), daemon=True)
            back.start()
            pipe(browser, dashboard)
            back.join(60)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
