"""The call observer of pymemcache: one record per command. All hooks are guarded."""

import sys
from dataclasses import replace
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes.pymemcache.session import session_of
from backwatch.collector.probes.pymemcache.state import (
    InFlightMemcachedCommand,
    MemcachedConnectionState,
    current_command,
)
from backwatch.collector.probes.pymemcache.statements import describe_command, estimate_stored_bytes
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, argument
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.messages import size_of
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, weakly, words
from backwatch.collector.redaction import memcached as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

FLAG_COMPRESSED: Final = 8
"""pymemcache's flag of a compressed value."""
_STATUS_CODES: Final = {
    "MemcacheUnknownCommandError": "ERROR",
    "MemcacheClientError": "CLIENT_ERROR",
    "MemcacheServerError": "SERVER_ERROR",
}
"""The server's word for an error, by the driver's class of it; subclasses are the driver's own errors."""
_DONE: Final = {"delete": b"DELETED", "touch": b"TOUCHED"}
"""Replies that say that a key was affected."""


class PymemcacheCallObserver(RecordingObserver):
    """The call observer of pymemcache's clients."""

    # --- the connection ---

    def _state(self, client: Any) -> MemcachedConnectionState | None:
        """Return the state of the connection, read now if it is older than the probe; ``None`` if there is none."""
        state: MemcachedConnectionState | None = client.__dict__.get(STATE_ATTRIBUTE)
        if client.sock is None:
            return None
        if state is None or state.observer is not self or state.socket() is not client.sock:
            state = self._new_state(client)
            state.wire.read_delta()  # bytes from before the probe belong to no recorded call
        return state

    def _new_state(self, client: Any) -> MemcachedConnectionState:
        state = MemcachedConnectionState(
            self, session_of(client), weakly(client.sock), SocketCounters(descriptor(client.sock))
        )  # fmt: skip
        client.__dict__[STATE_ATTRIBUTE] = state
        return state

    @never_breaks_the_host
    def on_connect_end(self, client: Any, token: Any, _result: Any, error: Error) -> None:
        """Record a connect, its TLS handshake included."""
        start_ns = token[0]
        command = current_command.get()
        if error is not None and command is not None:
            command.is_unreached = True
        if self.recorder is None:
            return
        if error is not None:
            self.recorder.record_call(session_of(client), "connect", start_ns=start_ns, error=root_error(error))
            return
        state = self._new_state(client)
        self.recorder.record_call(state.session, "connect", start_ns=start_ns, wire=state.wire)

    @never_breaks_the_host
    def on_close(self, _client: Any, _args: Any, _kwargs: Any) -> None:
        """Keep the error upon which the driver closes a connection; ``ignore_exc`` hides it from the app."""
        command, error = current_command.get(), sys.exc_info()[1]
        if command is not None and error is not None and error is not command.app_error:
            command.error = error

    # --- commands ---

    @never_breaks_the_host
    def on_fetch(self, client: Any, args: Any, kwargs: Any) -> InFlightMemcachedCommand | None:
        """Handle ``get``, ``gets``, and other commands whose reply is a list."""
        name, keys = argument(args, kwargs, 0, "name"), argument(args, kwargs, 1, "keys")
        if self.recorder is None or not isinstance(name, bytes):
            return None
        self._state(client)
        listed = keys if isinstance(keys, (list, tuple, dict, set, frozenset)) else ()
        sent = 2 + len(name) + sum(1 + len(client.key_prefix) + size_of(key) for key in listed)
        if name in (b"get", b"gets"):
            operation = name.decode()
            return InFlightMemcachedCommand(operation, describe_command(operation, keys), sent)
        return InFlightMemcachedCommand(*redact.redact_line(b" ".join([name, *map(_to_bytes, listed)])), sent)

    @never_breaks_the_host
    def on_fetch_end(self, client: Any, command: InFlightMemcachedCommand, result: Any, error: Error) -> None:
        """Record a command whose reply is a list."""
        rows = -1
        if isinstance(result, dict) and command.error is None and command.operation != "cache_memlimit":
            rows = len(result)
        self._record(client, command, error, returned=rows)
        if command.operation == "stats" and isinstance(result, dict):
            self._set_version(client, result.get(b"version"))

    @never_breaks_the_host
    def on_store(self, client: Any, args: Any, kwargs: Any) -> InFlightMemcachedCommand | None:
        """Handle ``set`` and similar commands."""
        name, values = argument(args, kwargs, 0, "name"), argument(args, kwargs, 1, "values")
        if self.recorder is None or not isinstance(name, bytes):
            return None
        state = self._state(client)
        # Estimated only where the kernel does not count: no connection yet, or a unix socket.
        estimated = isinstance(values, dict) and (state is None or state.session.transport == "unix")
        operation = name.decode("ascii", "replace")
        sent_bytes = estimate_stored_bytes(values) if estimated else -1
        return InFlightMemcachedCommand(operation, describe_command(operation, values), sent_bytes)

    @never_breaks_the_host
    def on_store_end(self, client: Any, command: InFlightMemcachedCommand, result: Any, error: Error) -> None:
        """Record stored values. With ``noreply``, the driver's default, their number is unknown."""
        has_reply = command.received_bytes > 0 and isinstance(result, dict)
        self._record(
            client, command, error, affected=sum(stored is True for stored in result.values()) if has_reply else -1
        )

    @never_breaks_the_host
    def on_line(self, client: Any, args: Any, kwargs: Any) -> InFlightMemcachedCommand | None:
        """Handle all other commands: one line, or several of the same kind."""
        lines, name = argument(args, kwargs, 0, "cmds"), argument(args, kwargs, 1, "cmd_name")
        if self.recorder is None or not isinstance(lines, list) or not lines:
            return None
        self._state(client)
        prefix, sent_bytes = client.key_prefix, sum(map(size_of, lines))
        operation, statement = redact.redact_line(lines[0], prefix)
        if len(lines) > 1 and isinstance(name, bytes):
            keys = [line.split(b" ", 2)[1].strip().removeprefix(prefix) for line in lines[: redact.MAX_KEYS + 1]]
            statement = redact.to_statement(operation, keys)
        return InFlightMemcachedCommand(operation, statement, sent_bytes)

    @never_breaks_the_host
    def on_line_end(self, client: Any, command: InFlightMemcachedCommand, result: Any, error: Error) -> None:
        """Record a command of one or several lines."""
        done = _DONE.get(command.operation)
        self._record(client, command, error, affected=result.count(done) if done and result else -1)
        if command.operation == "version" and result and result[0].startswith(b"VERSION "):
            self._set_version(client, result[0][8:])

    # --- replies ---

    @never_breaks_the_host
    def on_value_end(self, _owner: None, _token: Any, found: Any, error: Error) -> None:
        """Inspect a value that was read; the driver has not unpacked it yet."""
        command = current_command.get()
        if command is not None and error is None and isinstance(found[1], bytes):
            command.add_value(found[1])

    @never_breaks_the_host
    def on_receive_end(self, _owner: None, _token: Any, piece: Any, _error: Error) -> None:
        """Count bytes that were received."""
        command = current_command.get()
        if command is not None:
            command.received_bytes += size_of(piece)

    @never_breaks_the_host
    def on_deserialize(self, _serde: Any, args: Any, _kwargs: Any) -> None:
        """Count the bytes of a value that was decompressed: they are not those that were received."""
        command, (_, value, flags) = current_command.get(), args
        if command is None or not isinstance(value, bytes) or value is command.last_value:
            return
        if isinstance(flags, int) and flags & FLAG_COMPRESSED:
            command.packed_bytes += len(command.last_value)
            command.unpacked_bytes += len(value)
            command.last_value = value

    # --- records ---

    def _record(
        self, client: Any, command: InFlightMemcachedCommand, error: Error, *, returned: int = -1, affected: int = -1
    ) -> None:
        error = error if error is not None else command.error
        try:
            if self.recorder is None or command.is_unreached:
                return
            state = self._state(client)
            session = state.session if state is not None else session_of(client)
            is_unix = session.transport == "unix"
            self.recorder.record_call(
                session, command.operation, statement=command.statement, start_ns=command.start_ns,
                wire=state.wire if state is not None and not is_unix else None,
                estimated=(command.sent_bytes, command.received_bytes) if is_unix else UNKNOWN,
                rows_returned=returned, rows_affected=affected, error=None if error is None else root_error(error),
                facts=_response_facts(command, error),
            )  # fmt: skip
        finally:
            command.release()

    def _set_version(self, client: Any, version: object) -> None:
        """Keep the server's version, which the app itself has requested."""
        state = self._state(client)
        text = words(version, 40)
        if state is not None and text and state.session.server_version != text:
            state.session = replace(state.session, encoded=[], server_version=text)


def _response_facts(command: InFlightMemcachedCommand, error: Error) -> Facts:
    code = _STATUS_CODES.get(type(error).__name__)
    facts: Facts = (*command.facts, (names.STATUS_CODE, code)) if code else command.facts
    if _is_unrequested_key(error):
        facts = add_indicators(facts, ["other-key"])
    if command.packed_bytes:
        facts += ((names.PAYLOAD_WIRE, command.packed_bytes), (names.PAYLOAD_SIZE, command.unpacked_bytes))
    return facts


def _is_unrequested_key(error: Error) -> bool:
    """Return whether the server sent a key that was not requested: the driver looks it up, and does not find it."""
    if type(error) is not KeyError or not error.args or not isinstance(error.args[0], bytes):
        return False
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    # A serializer of the app's may raise KeyError for a key of its own.
    return at is not None and str(at.tb_frame.f_globals.get("__name__", "")).startswith("pymemcache.")


def _to_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
