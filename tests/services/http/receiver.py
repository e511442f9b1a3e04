"""Webhook receivers as real HTTP servers on loopback, with every kind of behaviour."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Request:
    """One received request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server whose behaviour can be changed while it runs."""

    port: int
    scheme: str
    answer: "Callable[[socket.socket, Receiver], None]"
    requests: list[Request] = field(default_factory=list[Request])
    connections: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The URL, with a path that must never be shown."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hook/path-token"

    @property
    def ids(self) -> list[str]:
        """The webhook-ids, in the order of their arrival."""
        return [one.headers["webhook-id"] for one in self.requests]


def status(line: str, *headers: str, body: bytes = b"") -> Callable[[socket.socket, Receiver], None]:
    """A behaviour: always this response."""
    head = "\r\n".join((f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", *headers, "", "")).encode()
    return lambda connection, _: connection.sendall(head + body)


OK = status("200 OK")


def stall(_connection: socket.socket, receiver: Receiver) -> None:
    """A behaviour: accept the request and never respond."""
    receiver.stop.wait(60)


def drip(connection: socket.socket, receiver: Receiver) -> None:
    """A behaviour: one byte of a header every tenth of a second, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not receiver.stop.wait(0.1):
        connection.sendall(b"x")


def drip_body(connection: socket.socket, receiver: Receiver) -> None:
    """A behaviour: a proper head, then a body that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not receiver.stop.wait(0.05):
        connection.sendall(b"1\r\nx\r\n")


def huge(connection: socket.socket, receiver: Receiver) -> None:
    """A behaviour: a body of a gigabyte at full speed."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    block = b"x" * 65_536
    for _ in range(15_000):
        if receiver.stop.is_set():
            break
        connection.sendall(block)


def endless_headers(connection: socket.socket, receiver: Receiver) -> None:
    """A behaviour: headers without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not receiver.stop.is_set():
        connection.sendall(b"X-More: " + b"x" * 1_000 + b"\r\n")


def garbage(connection: socket.socket, _receiver: Receiver) -> None:
    """A behaviour: not HTTP."""
    connection.sendall(b"\x00\xff\x00garbage\r\n\r\n")


def reset(connection: socket.socket, _receiver: Receiver) -> None:
    """A behaviour: the connection closes in the middle of the head."""
    connection.sendall(b"HTTP/1.1 200")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@contextlib.contextmanager
def receiver(
    answer: Callable[[socket.socket, Receiver], None] = OK, *, certificate: Path | None = None
) -> Generator[Receiver]:
    """Run a receiver that is stopped at the end.

    Args:
        answer: Its behaviour.
        certificate: PEM of certificate and key; absent: no TLS.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    one = Receiver(port=listener.getsockname()[1], scheme="https" if certificate else "http", answer=answer)
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    def serve(accepted: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            connection = context.wrap_socket(accepted, server_side=True) if context else accepted
            with connection:
                one.requests.append(_read(connection))
                one.answer(connection, one)

    def accept() -> None:
        while not one.stop.is_set():
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            one.connections += 1
            threading.Thread(target=serve, args=(accepted,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _read(connection: socket.socket) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            raise ValueError("the request ended early")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65_536)
    return Request(path=first.split()[1], headers=headers, body=body)
