"""A small HTTP server for monitors: bounded in connections, bytes and time, and never in the way of the main loop.

One thread serves all connections without blocking on any of them, so a client that sends a byte a second delays no
other. What reads the store runs in a second thread, one question at a time, and is waited for briefly: while the store
hangs, ``/healthz`` answers at once, and the others answer what they know without it.
"""

import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

MAX_CONNECTIONS: Final = 32
"""Connections at once; the oldest is closed for one more."""
MAX_REQUEST_BYTES: Final = 4_096
DEADLINE_S: Final = 5.0
"""From accepting a connection to the end of the request, and from then to the end of the response."""
STORE_WAIT_S: Final = 1.0
"""So long an answer of the store is waited for; longer where it takes longer though the store replies."""
KEPT_S: Final = 1.0
"""So long a response that was computed is used for others."""
ACCEPT_PAUSE_S: Final = 1.0
"""After a connection could not be accepted, which stays readable meanwhile: no file descriptor is left, say."""
TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is sent for a path."""

    status: int
    body: bytes
    content_type: str = TEXT


Answer = Callable[[], Response]


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """An answer that may wait for the store.

    Attributes:
        compute: Gives it; runs in a thread of its own.
        without_store: What is sent while the store does not reply; takes no time.
        max_wait_s: Longest wait, however long ``compute`` takes.
    """

    compute: Answer
    without_store: Answer
    max_wait_s: float = DEADLINE_S


@dataclass(slots=True, eq=False)
class _ClientConnection:
    socket: socket.socket
    deadline_s: float
    received: bytes = b""
    path: str = ""
    head_only: bool = False
    sending: memoryview = field(default_factory=lambda: memoryview(b""))


class MonitoringServer:
    """Serves GET of a few paths on a socket that listens, until it is closed.

    Args:
        listening: The socket.
        quick: Answers that take no time, by path; computed in the thread that serves.
        slow: Answers that may wait for the store, by path; computed in a thread of their own, one at a time.
    """

    def __init__(self, listening: socket.socket, quick: Mapping[str, Answer], slow: Mapping[str, StoreAnswer]) -> None:
        self._listening = listening
        self._quick = quick
        self._slow = slow
        self._selector = selectors.DefaultSelector()
        self._connections: list[_ClientConnection] = []
        self._waiting: dict[str, list[_ClientConnection]] = {}
        self._kept: dict[str, tuple[float, Response]] = {}
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[tuple[str, Response, float]] = queue.SimpleQueue()
        self._took_s: dict[str, float] = {}
        self._overdue: set[str] = set()
        """Paths whose answer was waited for in vain: until one of them comes, nothing is waited for."""
        self._wakeup, self._wake = socket.socketpair()
        self._closing = threading.Event()
        self._accept_at_s = 0.0
        """When the listening socket is looked at again; 0: it is."""
        self._threads = [
            threading.Thread(target=self._serve, name="backwatch-monitoring", daemon=True),
            threading.Thread(target=self._compute, name="backwatch-monitoring-store", daemon=True),
        ]

    def start(self) -> None:
        """Begin to serve."""
        for end in (self._listening, self._wakeup, self._wake):
            end.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop serving, and free the port. A store that hangs is not waited for."""
        self._closing.set()
        self._asked.put(None)
        self._notify()
        self._threads[0].join(2)

    def _serve(self) -> None:
        while not self._closing.is_set():
            now_s = time.monotonic()
            self._resume_accepting(now_s)
            until_s = min((connection.deadline_s for connection in self._connections), default=now_s + 60)
            until_s = min(until_s, self._accept_at_s or until_s)
            for key, _ in self._selector.select(max(0.0, until_s - now_s)):
                if key.fileobj is self._listening:
                    self._accept()
                elif key.fileobj is self._wakeup:
                    self._take_answers()
                elif key.data in self._connections:
                    self._advance(key.data)
            self._expire(time.monotonic())
        for connection in list(self._connections):
            self._drop(connection)
        for end in (self._listening, self._wakeup, self._wake):
            end.close()
        self._selector.close()

    def _resume_accepting(self, now_s: float) -> None:
        if self._accept_at_s and now_s >= self._accept_at_s:
            self._accept_at_s = 0.0
            self._selector.register(self._listening, selectors.EVENT_READ)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):
            return  # the client is gone
        except OSError:
            self._selector.unregister(self._listening)
            self._accept_at_s = time.monotonic() + ACCEPT_PAUSE_S
            return
        accepted.setblocking(False)
        if len(self._connections) >= MAX_CONNECTIONS:
            self._drop(self._connections[0])
        connection = _ClientConnection(accepted, time.monotonic() + DEADLINE_S)
        self._connections.append(connection)
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _advance(self, connection: _ClientConnection) -> None:
        try:
            if connection.sending:
                connection.sending = connection.sending[connection.socket.send(connection.sending) :]
                if not connection.sending:
                    self._drop(connection)
            else:
                self._receive(connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)

    def _receive(self, connection: _ClientConnection) -> None:
        more = connection.socket.recv(MAX_REQUEST_BYTES)
        if not more or connection.path:  # closed, or more than the one request that is under way
            self._drop(connection)
            return
        connection.received += more
        if b"\r\n\r\n" in connection.received or b"\n\n" in connection.received:
            self._handle(connection)
        elif len(connection.received) >= MAX_REQUEST_BYTES:
            self._respond(connection, _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    def _handle(self, connection: _ClientConnection) -> None:
        words = connection.received.split(b"\n", 1)[0].strip().split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            self._respond(connection, _refusal(HTTPStatus.BAD_REQUEST))
            return
        path = words[1].partition(b"?")[0].decode("latin-1")
        connection.head_only = words[0] == b"HEAD"
        connection.deadline_s = time.monotonic() + DEADLINE_S
        if words[0] not in (b"GET", b"HEAD"):
            self._respond(connection, _refusal(HTTPStatus.METHOD_NOT_ALLOWED))
        elif path in self._quick:
            self._respond(connection, _compute(self._quick[path]))
        elif path in self._slow:
            self._ask(connection, path)
        else:
            self._respond(connection, _refusal(HTTPStatus.NOT_FOUND))

    def _ask(self, connection: _ClientConnection, path: str) -> None:
        kept_s, response = self._kept.get(path, (-KEPT_S, None))
        if response is not None and time.monotonic() - kept_s < KEPT_S:
            self._respond(connection, response)
            return
        if path not in self._waiting:
            self._waiting[path] = []
            self._asked.put(path)
        answer = self._slow[path]
        if self._overdue:
            self._respond(connection, _compute(answer.without_store))
            return
        connection.path = path
        wait_s = max(STORE_WAIT_S, 3 * self._took_s.get(path, 0.0))
        connection.deadline_s = time.monotonic() + min(wait_s, answer.max_wait_s)
        self._waiting[path].append(connection)

    def _take_answers(self) -> None:
        while True:
            try:
                if not self._wakeup.recv(64):
                    break
            except OSError:
                break
        while not self._answered.empty():
            path, response, took_s = self._answered.get()
            self._kept[path] = (time.monotonic(), response)
            self._overdue.clear()
            if took_s < DEADLINE_S:  # else it hung, which the next one need not
                self._took_s[path] = took_s
            for connection in self._waiting.pop(path, ()):
                if connection in self._connections:
                    self._respond(connection, response)

    def _respond(self, connection: _ClientConnection, response: Response) -> None:
        status = HTTPStatus(response.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\n"
        )
        connection.path = ""
        connection.sending = memoryview(head.encode("ascii") + (b"" if connection.head_only else response.body))
        connection.deadline_s = time.monotonic() + DEADLINE_S
        self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)

    def _expire(self, now_s: float) -> None:
        for connection in [connection for connection in self._connections if connection.deadline_s <= now_s]:
            if connection.path:  # the store hangs: the question stays open, but this client gets an answer
                self._waiting[connection.path].remove(connection)
                self._overdue.add(connection.path)
                self._respond(connection, _compute(self._slow[connection.path].without_store))
            else:
                self._drop(connection)

    def _drop(self, connection: _ClientConnection) -> None:
        self._connections.remove(connection)
        if connection.path and connection in self._waiting.get(connection.path, ()):
            self._waiting[connection.path].remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _compute(self) -> None:
        while (path := self._asked.get()) is not None:
            begin_s = time.monotonic()
            response = _compute(self._slow[path].compute)
            self._answered.put((path, response, time.monotonic() - begin_s))
            self._notify()

    def _notify(self) -> None:
        try:
            self._wake.send(b"x")
        except OSError:
            return  # full, so it is awake; or closed


def _compute(answer: Answer) -> Response:
    try:
        return answer()
    except Exception as error:  # noqa: BLE001  a fault in one answer must not end the thread that gives all of them
        return Response(status=500, body=f"{type(error).__name__}\n".encode())


def _refusal(status: HTTPStatus) -> Response:
    return Response(status=status, body=f"{status.phrase}\n".encode())
