"""State of a MySQL connection: progress of its login, and local files that the server requests."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.dbapi import ConnectionState
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

_METHODS: Final = {"mysql_clear_password": "clear-password"}


class MySQLConnectionState(ConnectionState):
    """A connection state that also follows the login.

    Attributes:
        is_established: ``session`` describes a connection, and not only the request for it.
        auth_plugin: The authentication plugin in use, as far as the driver does not keep it.
        local_file: The local file that the server requested since the last record; ``None``: it did not.
    """

    __slots__ = ("auth_plugin", "is_established", "local_file")

    def __init__(self, session: Session, wire: SocketCounters | None = None) -> None:
        super().__init__(session, wire)
        self.is_established = False
        self.auth_plugin = ""
        self.local_file: str | None = None

    def take_local_file(self) -> Facts:
        """Return the facts of a requested local file, once."""
        if self.local_file is None:
            return ()
        name, self.local_file = self.local_file, None
        return ((names.LOCAL_INFILE, True), (names.LOCAL_INFILE_FILE, name))


def auth_method(plugin: object) -> str:
    """Return the authentication method of a MySQL plugin."""
    name = words(plugin)
    return _METHODS.get(name, name)
