"""Observation of clickhouse-driver: connect and login, statements, rows as they come."""

from time import time_ns
from typing import Any

from backwatch.collector.probes.clickhouse_driver.session import describe_connection
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_TEXT_CHARACTERS,
    PAGE_ROWS,
    RESULT_ATTRIBUTE,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    OpenResult,
    argument,
    status_facts,
)
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.socket_counters import SocketCounters


class ClickHouseResult(OpenResult):
    """A client's statement and its rows.

    Attributes:
        inside: The app's own call is running: rows belong to it.
        has_block: A block of rows came since the last record, maybe an empty one.
    """

    __slots__ = ("has_block", "inside")

    def __init__(self, sql: object) -> None:
        super().__init__(sql)
        self.inside = True
        self.has_block = False


def _error_facts(error: Error) -> Facts:
    """Return the server's error number; the driver numbers its own errors too."""
    code = getattr(error, "code", None)
    return status_facts(str(code)) if type(error).__name__ == "ServerException" and type(code) is int else ()


class ClickHouseCallObserver(CallObserver):
    """Follows the driver's connections and clients."""

    # --- connections ---

    @never_breaks_the_host
    def on_connect(self, _connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """Start an attempt to reach one of the hosts."""
        if self.recorder is None:
            return None
        return time_ns(), argument(args, kwargs, 0, "host"), argument(args, kwargs, 1, "port")

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, token: Any, _result: Any, error: Error) -> None:
        """Record that the connection is established, or has failed; its socket is still there then."""
        start_ns, host, port = token
        state = self._open_state(connection, host, port, failed=error is not None)
        fault = None if error is None else root_error(error)
        self.record_call(state, "connect", start_ns, error=fault, facts=_error_facts(error))

    def _open_state(self, connection: Any, host: object, port: object, *, failed: bool = False) -> ConnectionState:
        number = descriptor(connection.socket)
        session = describe_connection(connection, host, port, failed=failed)
        state = connection.__dict__[STATE_ATTRIBUTE] = ConnectionState(
            session, SocketCounters(number) if number >= 0 else None
        )
        return state

    def _state_of(self, connection: Any) -> ConnectionState:
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None:
            host, port = connection.hosts[0]
            host, port = getattr(connection, "host", None) or host, getattr(connection, "port", None) or port
            state = self._open_state(connection, host, port)
        namespace = words(connection.database, MAX_TEXT_CHARACTERS)
        if connection.connected and state.session.namespace != namespace:
            state.change_session(namespace=namespace)
        return state

    # --- statements ---

    @never_breaks_the_host
    def on_statement(self, client: Any, args: Args, kwargs: Kwargs) -> tuple[int, ClickHouseResult] | None:
        """Start a statement; ``None`` inside another call of the client."""
        if self.recorder is None:
            return None
        before = client.__dict__.get(RESULT_ATTRIBUTE)
        if before is not None:
            if before.inside:
                return None
            self._record_rows(client, before, None)
        connection = client.connection
        if connection.connected and STATE_ATTRIBUTE not in connection.__dict__:  # older than the probe
            self._state_of(connection).skip_earlier_bytes()
        result = client.__dict__[RESULT_ATTRIBUTE] = ClickHouseResult(argument(args, kwargs, 0, "query"))
        return time_ns(), result

    @never_breaks_the_host
    def on_statement_end(self, client: Any, token: tuple[int, ClickHouseResult], returned: Any, error: Error) -> None:
        """Record the app's call; the rows of a lazy one are still to come."""
        start_ns, result = token
        state = self._state_of(client.connection)
        result.inside = False
        rows = (result.rows if result.has_block else UNKNOWN, UNKNOWN)
        if error is None and type(returned) is int:  # of an INSERT: the blocks that came only describe its columns
            rows = (UNKNOWN, returned)
        elif error is not None:
            rows = (result.rows or UNKNOWN, UNKNOWN)
        result.rows, result.has_block = 0, False
        self.record_call(
            state, "", start_ns, sql=result.sql, rows=rows, error=error, facts=_error_facts(error),
            lost=not client.connection.connected,
        )  # fmt: skip

    # --- rows ---

    @never_breaks_the_host
    def on_packet(self, client: Any, token: CallToken, packet: Any, error: Error) -> None:
        """Count a block of rows, and record them by the page and at their end."""
        result = client.__dict__.get(RESULT_ATTRIBUTE)
        if result is None or self.recorder is None:
            return
        block = getattr(packet, "block", None)
        if block is not None:
            result.has_block = True
            result.rows += block.num_rows
            result.since_ns = result.since_ns or token[0]
        if not result.inside and (error is not None or packet is False or result.rows >= PAGE_ROWS):
            self._record_rows(client, result, error)

    @never_breaks_the_host
    def on_disconnect(self, client: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Record the rows that were read before the client is closed."""
        result = client.__dict__.get(RESULT_ATTRIBUTE)
        if result is not None and not result.inside:
            self._record_rows(client, result, None)

    def _record_rows(self, client: Any, result: ClickHouseResult, error: Error) -> None:
        has_block, result.has_block = result.has_block, False
        rows, since_ns = result.take_rows()
        if rows or error is not None or has_block:
            self.record_call(
                self._state_of(client.connection), "FETCH", since_ns, sql=result.sql, rows=(rows, UNKNOWN),
                error=error, facts=_error_facts(error), lost=not client.connection.connected,
            )  # fmt: skip
