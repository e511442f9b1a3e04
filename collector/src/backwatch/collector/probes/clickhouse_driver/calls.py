"""The reports of clickhouse-driver's calls: connect and login, statements, rows as they come."""

import dataclasses
import sys
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Link, Watch, argument
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, root_error, tls_of, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Error = BaseException | None

MAX_TEXT: Final = 200
PAGE_ROWS: Final = 1000
READING: Final = "_backwatch_reading"
"""Where a client keeps what it reads: an entry of its ``__dict__``."""


class Reading:
    """One statement of a client, and its rows that were not told yet.

    Attributes:
        inside: The app's own call is on its way: rows belong to it.
        answered: A block of rows came, be it an empty one.
    """

    __slots__ = ("answered", "inside", "rows", "since_ns", "sql")

    def __init__(self, sql: object) -> None:
        self.sql = sql
        self.inside = True
        self.answered = False
        self.rows = 0
        self.since_ns = 0


def asked(connection: Any, host: object, port: object) -> Session:
    """What is known of an attempt before the first byte."""
    secure = bool(getattr(connection, "secure_socket", False))
    mode = "disable"
    if secure:
        checked = bool(getattr(connection, "check_hostname", _always_checks()))
        mode = "require" if not connection.verify_cert else "verify-full" if checked else "verify-ca"
    return Session(
        system="clickhouse",
        address=words(host, MAX_TEXT),
        port=port if isinstance(port, int) else 0,
        namespace=words(getattr(connection, "database", None), MAX_TEXT),
        requested=mode,
        requested_explicit=secure,  # without the option there is no TLS
        account=words(getattr(connection, "user", None), MAX_TEXT),
    )


def _always_checks() -> bool:
    """Of versions without an option for it: whether they check the host's name wherever they verify."""
    return getattr(sys.modules.get("clickhouse_driver"), "VERSION", (0,)) >= (0, 2, 7)


def told(connection: Any, host: object, port: object, *, failed: bool = False) -> Session:
    """What is known of the connection that the driver holds at this moment."""
    socket, server = connection.socket, connection.server_info
    if descriptor(socket) < 0:
        return asked(connection, host, port)
    method = "" if failed else "clear-password" if connection.password else "none"
    version = ".".join(str(part) for part in server.version_tuple()) if server is not None else ""
    return dataclasses.replace(
        asked(connection, host, port),
        server_version=words(version),
        auth_method=method,  # the protocol has no other: the password goes as it is
        **peer(socket),
        **read_tls_facts(tls_of(socket)),
    )


def code_of(error: Error) -> Facts:
    """The server's number for what went wrong; the driver gives its own errors numbers too."""
    code = getattr(error, "code", None)
    if type(error).__name__ == "ServerException" and type(code) is int:
        return ((names.STATUS_CODE, str(code)),)
    return ()


class ClickHouseWatch(Watch):
    """Follows the driver's connections and clients."""

    # --- connections ---

    @never_breaks_the_host
    def connecting(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """An attempt to reach one of the hosts."""
        del connection
        return None if self.recorder is None else (argument(args, kwargs, 0, "host"), argument(args, kwargs, 1, "port"))

    @never_breaks_the_host
    def connected(
        self, end: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """It stands, or it failed; the socket is still there then."""
        del args, kwargs, result
        if end is None:
            return
        link = self._linked(connection, *end, failed=error is not None)
        connection.__dict__[KEY] = link
        fault = None if error is None else root_error(error)
        self.tell(link, "connect", start_ns, error=fault, facts=code_of(error))

    def _linked(self, connection: Any, host: object, port: object, *, failed: bool = False) -> Link:
        number = descriptor(connection.socket)
        return Link(told(connection, host, port, failed=failed), SocketCounters(number) if number >= 0 else None)

    def _link_of(self, connection: Any) -> Link:
        link = connection.__dict__.get(KEY)
        if link is None:
            host, port = connection.hosts[0]
            link = connection.__dict__[KEY] = self._linked(
                connection, getattr(connection, "host", None) or host, getattr(connection, "port", None) or port
            )
        if connection.connected and link.session.namespace != words(connection.database, MAX_TEXT):
            link.session = dataclasses.replace(link.session, namespace=words(connection.database, MAX_TEXT), encoded=[])
        return link

    # --- statements ---

    @never_breaks_the_host
    def entered(self, client: Any, args: Args, kwargs: Kwargs) -> Any:
        """A statement begins; ``None`` where it lies inside another call of the client's."""
        if self.recorder is None:
            return None
        before = client.__dict__.get(READING)
        if before is not None:
            if before.inside:
                return None
            self._tell_rows(client, before, None)
        connection = client.connection
        if connection.connected and KEY not in connection.__dict__:  # opened before we were there
            wire = self._link_of(connection).wire
            if wire is not None:
                wire.read_delta()
        reading = client.__dict__[READING] = Reading(argument(args, kwargs, 0, "query"))
        return reading

    @never_breaks_the_host
    def left(
        self, reading: Any, client: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """The app's call ends; the rows of a lazy one are still to come."""
        del args, kwargs
        if reading is None:
            return
        connection = client.connection
        link = self._link_of(connection)
        reading.inside = False
        rows = (reading.rows if reading.answered else UNKNOWN, UNKNOWN)
        if error is None and type(result) is int:  # of an INSERT: the blocks that came only describe its columns
            rows = (UNKNOWN, result)
        elif error is not None:
            rows = (reading.rows or UNKNOWN, UNKNOWN)
        reading.rows, reading.answered = 0, False
        self.tell(
            link, "", start_ns, sql=reading.sql, rows=rows, error=error, facts=code_of(error),
            lost=not connection.connected,
        )  # fmt: skip

    # --- rows ---

    @never_breaks_the_host
    def received(
        self, token: Any, client: Any, args: Args, kwargs: Kwargs, start_ns: int, packet: Any, error: Error
    ) -> None:
        """A packet came: is it a block of rows, or the end of them?"""
        del token, args, kwargs
        reading = client.__dict__.get(READING)
        if reading is None or self.recorder is None:
            return
        block = getattr(packet, "block", None)
        if block is not None:
            reading.answered = True
            reading.rows += block.num_rows
            reading.since_ns = reading.since_ns or start_ns
        if not reading.inside and (error is not None or packet is False or reading.rows >= PAGE_ROWS):
            self._tell_rows(client, reading, error)

    @never_breaks_the_host
    def ending(self, client: Any, *_: Any) -> None:
        """The client is about to be closed: rows that were read and not told are told."""
        reading = client.__dict__.get(READING)
        if reading is not None and not reading.inside:
            self._tell_rows(client, reading, None)

    def _tell_rows(self, client: Any, reading: Reading, error: Error) -> None:
        rows, since_ns, answered = reading.rows, reading.since_ns, reading.answered
        reading.rows, reading.since_ns, reading.answered = 0, 0, False
        if not rows and error is None and not answered:
            return
        connection = client.connection
        self.tell(
            self._link_of(connection), "FETCH", since_ns or time_ns(), sql=reading.sql, rows=(rows, UNKNOWN),
            error=error, facts=code_of(error), lost=not connection.connected,
        )  # fmt: skip
