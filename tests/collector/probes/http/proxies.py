"""Proxies for tests: over TLS, for ``http://`` and tunnels to all other targets, and a plain one for tunnels."""

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Generator

from tests.services.authority import Authority


def _relay(near: ssl.SSLSocket, far: socket.socket) -> None:
    """Copy both directions in one thread: a TLS socket must not be read and written at once."""
    with selectors.DefaultSelector() as selector:
        selector.register(near, selectors.EVENT_READ)
        selector.register(far, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select(30)]
            if not ready:
                return
            if far in ready:
                data = far.recv(65536)
                if not data:
                    return
                near.sendall(data)
            if near in ready:
                data = near.recv(65536)
                while near.pending():
                    data += near.recv(65536)
                if not data:
                    return
                far.sendall(data)


def _serve(near: ssl.SSLSocket) -> None:
    head = near.recv(65536)
    while b"\r\n\r\n" not in head:
        head += near.recv(65536)
    method, target, rest = head.split(b" ", 2)
    tunnel = method == b"CONNECT"
    place, slash, path = target.removeprefix(b"http://").partition(b"/")
    host, _, port = place.decode().rpartition(":")
    with socket.create_connection((host, int(port)), 10) as far:
        if tunnel:
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            line, _, lines = rest.partition(b"\r\n")
            far.sendall(b" ".join((method, slash + path, line)) + b"\r\nConnection: close\r\n" + lines)
        _relay(near, far)


@contextlib.contextmanager
def tls_proxy(ca: Authority) -> Generator[int]:
    """Its port on loopback."""
    certificate = ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), plain, context.wrap_socket(plain, server_side=True) as near:
            near.settimeout(30)
            _serve(near)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        accepting.join(5)


@contextlib.contextmanager
def connect_proxy() -> Generator[tuple[str, int]]:
    """A proxy that only supports CONNECT."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as near:
                host, _, port = near.recv(65536).split()[1].decode().rpartition(":")
                with socket.create_connection((host, int(port))) as far:
                    near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=pump, args=(far, near), daemon=True)
                    back.start()
                    pump(near, far)
                    back.join(10)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()
