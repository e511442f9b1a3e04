"""One server of each kind per run, shared by all xdist workers.

The controlling process of a run starts a server when the first worker requests it, and stops all of them when the run
ends. Workers connect to a unix socket, send the name of a fixture and receive its :class:`Server`.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from tests.services.authority import Authority, AuthorityKey
from tests.services.process import StartError
from tests.services.server import MissingServerError, Server

Serve = Callable[[Authority], AbstractContextManager[Server]]

AUTHORITY = "certificate authority"


class ServerHost:
    """Starts servers on request and keeps them until the run ends.

    Attributes:
        address: The socket on which workers request servers.
    """

    def __init__(self, folder: Path, services: Mapping[str, Serve]) -> None:
        self._authority = Authority(folder)
        self._services = services
        self._running = contextlib.ExitStack()
        self._replies: dict[str, object] = {}
        self._locks = {name: threading.Lock() for name in services}
        self.address = str(folder / "servers")
        self._listener = Listener(self.address, "AF_UNIX", backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop every server."""
        self._listener.close()
        self._running.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._reply, args=(connection,), daemon=True).start()

    def _reply(self, connection: "Connection[object, object]") -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            connection.send(self._find(str(connection.recv())))

    def _find(self, name: str) -> object:
        if name == AUTHORITY:
            return self._authority.key
        with self._locks[name]:
            if name not in self._replies:
                try:
                    self._replies[name] = self._running.enter_context(self._services[name](self._authority))
                except (MissingServerError, StartError) as error:
                    self._replies[name] = error
        return self._replies[name]


def request_server(address: str, name: str) -> Server:
    """Ask the controlling process for a server, which is started if it does not run yet.

    Raises:
        MissingServerError: It is not installed.
        StartError: It did not start.
    """
    return _request(address, name)


def request_authority(address: str, folder: Path) -> Authority:
    """Return the run's authority, which issues certificates into ``folder``."""
    key: AuthorityKey = _request(address, AUTHORITY)
    return Authority(folder, key=key)


def _request(address: str, name: str) -> Any:
    with Client(address, "AF_UNIX") as connection:
        connection.send(name)
        reply = connection.recv()
    if isinstance(reply, Exception):
        raise reply
    return reply
